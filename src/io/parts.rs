//! Tables into directories: a file for every partition of their rows, or for every part of them as they come.

use super::sink::FileFormat;
use super::temp::{Draft, dir_beside, new_dir, publish_dir};
use super::{address, remote};
use crate::block::{BatchSink, PartSink, TableAddress};
use crate::error::{Error, Result};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A directory being written: `part-00000.parquet` and so on, of rows whose last column is the number of their file. Numbers never decrease, so
/// one file is written at a time; names are in the order of numbers, so that the directory is read in the order of rows.
pub struct PartsSink {
    path: PathBuf,
    format: FileFormat,
    /// Columns of the files: all but the number.
    schema: SchemaRef,
    state: Mutex<Option<Open>>,
}

struct Open {
    dir: tempfile::TempDir,
    /// The file being written, and its number.
    file: Option<(i64, Arc<dyn BatchSink>)>,
}

impl std::fmt::Debug for PartsSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PartsSink({})", self.path.display())
    }
}

impl PartsSink {
    /// A directory for tables of this schema, whose last column is the number; it must not be there yet.
    ///
    /// # Errors
    /// If it is there or cannot be created.
    pub fn create(path: impl AsRef<Path>, schema: &SchemaRef, format: FileFormat) -> Result<PartsSink> {
        let path = path.as_ref().to_owned();
        let columns: Vec<usize> = (0..schema.fields().len().saturating_sub(1)).collect();
        let schema = Arc::new(schema.project(&columns).map_err(|e| Error::internal(e.to_string()))?);
        let state = Mutex::new(Some(Open { dir: new_dir("write_partitions", &path)?, file: None }));
        Ok(PartsSink { path, format, schema, state })
    }

    fn write_to(&self, open: &mut Open, batch: &RecordBatch) -> Result<()> {
        let internal = |e: arrow::error::ArrowError| Error::internal(e.to_string());
        let numbers = batch.columns().last().and_then(|c| c.as_primitive_opt::<Int64Type>());
        let numbers = numbers.ok_or_else(|| Error::internal("rows without the number of their file"))?;
        let columns: Vec<usize> = (0..self.schema.fields().len()).collect();
        let rows = batch.project(&columns).map_err(internal)?;
        let mut at = 0;
        for same in numbers.values().chunk_by(|a, b| a == b) {
            let file = match &open.file {
                Some((number, file)) if *number == same[0] => file.clone(),
                _ => self.next_file(open, same[0])?,
            };
            file.write(&rows.slice(at, same.len()))?;
            at += same.len();
        }
        Ok(())
    }

    fn next_file(&self, open: &mut Open, number: i64) -> Result<Arc<dyn BatchSink>> {
        if let Some((_, file)) = open.file.take() {
            file.finish()?;
        }
        let name = format!("part-{number:05}.{}", self.format.extension());
        let draft = Draft::Within(open.dir.path().join(&name));
        let file = self.format.sink(draft, &self.path.join(name), self.schema.clone())?;
        open.file = Some((number, file.clone()));
        Ok(file)
    }
}

impl BatchSink for PartsSink {
    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, batch: &RecordBatch) -> Result<()> {
        match self.state.lock().unwrap_or_else(|e| e.into_inner()).as_mut() {
            Some(open) => self.write_to(open, batch),
            None => Err(Error::internal("a write after the end")),
        }
    }

    fn finish(&self) -> Result<()> {
        let open = self.state.lock().unwrap_or_else(|e| e.into_inner()).take();
        let Some(mut open) = open else { return Err(Error::internal("finished twice")) };
        // a table without rows is a file without rows: its columns are there
        let file = match open.file.take() {
            Some((_, file)) => file,
            None => self.next_file(&mut open, 0)?,
        };
        file.finish()?;
        publish_dir(open.dir, &self.path, false)
    }
}

/// A directory of files that are written beside each other: `part-00000.parquet` and so on, in the order of rows.
pub struct DirectorySink {
    path: PathBuf,
    format: FileFormat,
    schema: SchemaRef,
    state: Mutex<Growing>,
}

/// Where files are until all are written, and are called by their numbers.
enum Growing {
    /// Here, for this sink to publish.
    Own(tempfile::TempDir),
    /// In that of another process.
    Joined(PathBuf),
    /// Nowhere any more.
    Done,
}

impl std::fmt::Debug for DirectorySink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DirectorySink({})", self.path.display())
    }
}

impl DirectorySink {
    /// A directory for tables of this schema; it must not be there yet.
    ///
    /// # Errors
    /// If it is there or cannot be created.
    pub fn create(path: impl AsRef<Path>, schema: SchemaRef, format: FileFormat) -> Result<DirectorySink> {
        let path = path.as_ref().to_owned();
        let state = Mutex::new(Growing::Own(new_dir("write_directory", &path)?));
        Ok(DirectorySink { path, format, schema, state })
    }

    /// The directory that another process is writing, to write some parts of it.
    ///
    /// # Errors
    /// If it is of a format that this build does not know.
    pub fn join(at: &TableAddress) -> Result<DirectorySink> {
        let Some((file, _)) = at.files.first() else { return Err(Error::internal("a directory of no name")) };
        let format = FileFormat::of_address(file, &at.texts)?;
        let (path, schema) = (file.path.clone(), at.schema.clone());
        let state = Mutex::new(Growing::Joined(path.clone()));
        Ok(DirectorySink { path, format, schema, state })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, Growing> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn dir(&self) -> Result<PathBuf> {
        match &*self.state() {
            Growing::Own(dir) => Ok(dir.path().to_owned()),
            Growing::Joined(dir) => Ok(dir.clone()),
            Growing::Done => Err(super::finished_twice(&self.path)),
        }
    }

    fn name(&self, number: u64) -> String {
        format!("{number}.{}", self.format.extension())
    }
}

impl PartSink for DirectorySink {
    fn part(&self, number: u64) -> Result<Arc<dyn BatchSink>> {
        // it gets its name when it is whole: processes that write the same one do not meet
        self.format.create(self.dir()?.join(self.name(number)), self.schema.clone())
    }

    fn publish(&self, parts: &[u64]) -> Result<()> {
        let grown = match std::mem::replace(&mut *self.state(), Growing::Done) {
            Growing::Own(dir) => dir,
            Growing::Joined(_) => return Err(Error::internal("a directory of another process")),
            Growing::Done => return Err(super::finished_twice(&self.path)),
        };
        // a directory of its own, in which no process that was given up writes any more
        let whole = dir_beside(&self.path)?;
        for (k, &number) in parts.iter().enumerate() {
            let to = whole.path().join(format!("part-{k:05}.{}", self.format.extension()));
            let moved = std::fs::rename(grown.path().join(self.name(number)), to);
            moved.map_err(|e| Error::io("writing", &self.path, e))?;
        }
        publish_dir(whole, &self.path, false)
    }

    fn address(&self) -> Option<TableAddress> {
        // what is sent to an object store grows on this machine
        let dir = self.dir().ok().filter(|_| !remote::is_url(&self.path))?;
        let (format, options, texts) = self.format.options();
        let at = address::of_draft(format, dir, &options);
        Some(TableAddress { files: vec![(at, vec![])], schema: self.schema.clone(), texts })
    }
}

impl BatchSink for DirectorySink {
    fn label(&self) -> String {
        self.path.display().to_string()
    }

    fn write(&self, _: &RecordBatch) -> Result<()> {
        Err(Error::internal("a directory is written in parts"))
    }

    fn finish(&self) -> Result<()> {
        Err(Error::internal("a directory is published by its parts"))
    }

    fn in_parts(&self) -> Option<&dyn PartSink> {
        Some(self)
    }
}
