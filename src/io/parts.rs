//! Tables into directories, a file for every partition of their rows.

use super::sink::FileFormat;
use super::temp::{Draft, new_dir, publish_dir};
use crate::block::BatchSink;
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
