//! Several files as one table: those that a path names, and the columns that Hive's layout of directories adds
//! (`year=2013/month=1/part.parquet`).

use super::input::Input;
use super::remote;
use super::sink::{NULL, unescaped};
use crate::block::batch::coded;
use crate::block::{BatchSource, Bound, Facts, TableAddress};
use crate::error::{Error, Result};
use arrow::array::{
    Array, ArrayRef, DictionaryArray, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A file, and the values that the names of its directories give to columns.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Columns and values, from outside to inside; none for null.
    pub keys: Vec<(String, Option<String>)>,
}

impl Found {
    /// A file whose keys are named by the directories from this one on.
    fn below(root: &Path, path: PathBuf) -> Result<Found> {
        let inside = path.strip_prefix(root).unwrap_or(&path);
        let mut keys: Vec<(String, Option<String>)> = vec![];
        for part in inside.parent().into_iter().flat_map(Path::components) {
            let Component::Normal(name) = part else { continue };
            let name = name.to_string_lossy();
            let Some((key, value)) = name.split_once('=') else { continue };
            let (Some(key), Some(value)) = (unescaped(key), unescaped(value)) else {
                return Err(Error::invalid("path", format!("{}: {name:?} is no UTF-8 text", path.display())));
            };
            if keys.iter().any(|(k, _)| *k == key) {
                return Err(Error::invalid("path", format!("{}: {key:?} is named twice", path.display())));
            }
            keys.push((key, (value != NULL).then_some(value)));
        }
        Ok(Found { path, keys })
    }
}

/// The files that a path names, by name: itself; those that match if it has `*`, `?` or `[...]` in it; of a directory, those below it
/// whose names end in one of these ways and do not begin with a dot or an underscore. Directories called `key=value` below the directory,
/// or from the first with a `*` on, are keys.
/// A URL of an object store is understood in the same way: what is no object may be a directory of objects.
///
/// # Errors
/// If there is no such file, or a directory cannot be read.
pub fn find(path: &Path, endings: &[&str]) -> Result<Vec<Found>> {
    let text = path.to_string_lossy();
    if let Some(place) = remote::place(path).map_err(|e| Error::io("reading", path, e))? {
        return in_store(path, &place, endings);
    }
    if !is_pattern(&text) || path.symlink_metadata().is_ok() {
        return match path.is_dir() {
            true => below(path, path, endings),
            false => Ok(vec![Found { path: path.to_owned(), keys: vec![] }]),
        };
    }
    let root = before_pattern(path);
    let matching = glob::glob(&text).map_err(|e| Error::invalid("path", format!("{text}: {e}")))?;
    let mut found = vec![];
    for path in matching {
        let path = path.map_err(|e| {
            let at = e.path().to_owned();
            Error::io("reading", at, e.into())
        })?;
        match path.is_dir() {
            true => found.extend(below(&root, &path, endings)?),
            false => found.push(Found::below(&root, path)?),
        }
    }
    // a pattern may match a directory and what is in it: every file is read once
    let mut seen = std::collections::HashSet::new();
    found.retain(|f: &Found| seen.insert(f.path.clone()));
    if found.is_empty() {
        return Err(Error::invalid("path", format!("no file matches {text:?}")));
    }
    Ok(found)
}

fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// A path up to the first part that is a pattern.
fn before_pattern(path: &Path) -> PathBuf {
    path.ancestors().find(|a| !is_pattern(&a.to_string_lossy())).unwrap_or(Path::new("")).to_owned()
}

/// Whether a directory or file of this name is left out: hidden, or not yet whole. But a column's name may begin like that.
fn is_hidden(name: &str) -> bool {
    name.starts_with('.') || (name.starts_with('_') && !name.contains('='))
}

/// Those that a URL names.
fn in_store(url: &Path, place: &remote::Place, endings: &[&str]) -> Result<Vec<Found>> {
    let text = url.to_string_lossy();
    let io = |e| Error::io("reading", url, e);
    if !is_pattern(&text) {
        match Input::open(url) {
            Ok(_) => return Ok(vec![Found { path: url.to_owned(), keys: vec![] }]),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io(e)),
        }
    }
    // a pattern's stars do not go over slashes; what it matches may be a directory
    let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
    let pattern = glob::Pattern::new(text.trim_end_matches('/'));
    let pattern = pattern.map_err(|e| Error::invalid("path", format!("{text}: {e}")))?;
    let root = before_pattern(url);
    let place = remote::place(&root).map_err(io)?.unwrap_or_else(|| place.clone());
    let mut found = vec![];
    for path in place.list().map_err(io)? {
        let dir = path.ancestors().find(|a| pattern.matches_path_with(a, options));
        let Some(dir) = dir else { continue };
        let inside = path.strip_prefix(dir).unwrap_or(&path);
        let mut names = inside.components().map(|c| c.as_os_str().to_string_lossy().to_ascii_lowercase());
        let is_file =
            dir == path || endings.iter().any(|e| inside.to_string_lossy().to_ascii_lowercase().ends_with(e));
        if is_file && !names.any(|name| is_hidden(&name)) {
            found.push(Found::below(&root, path)?);
        }
    }
    match found.is_empty() {
        true => Err(Error::invalid(
            "path",
            format!("no object is called {text:?}, or is below it and ends in {}", endings.join(", ")),
        )),
        false => Ok(found),
    }
}

fn below(root: &Path, dir: &Path, endings: &[&str]) -> Result<Vec<Found>> {
    let (mut paths, mut dirs) = (vec![], vec![(dir.to_owned(), vec![])]);
    while let Some((dir, above)) = dirs.pop() {
        let io = |e| Error::io("reading", &dir, e);
        // links may go round in circles
        let mut inside: Vec<PathBuf> = above;
        let real = dir.canonicalize().map_err(io)?;
        if inside.contains(&real) {
            continue;
        }
        inside.push(real);
        for entry in std::fs::read_dir(&dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
            if is_hidden(&name) {
                continue;
            }
            if path.is_dir() {
                dirs.push((path, inside.clone()));
            } else if endings.iter().any(|e| name.ends_with(e)) {
                paths.push(path);
            }
        }
    }
    if paths.is_empty() {
        let message = format!("no file below {} ends in {}", dir.display(), endings.join(", "));
        return Err(Error::invalid("path", message));
    }
    paths.sort();
    paths.into_iter().map(|p| Found::below(root, p)).collect()
}

/// Files of one schema as a source of rows, in order.
#[derive(Debug)]
pub struct Files {
    files: Vec<Member>,
    schema: SchemaRef,
    /// By column: its place in the files, or its place among the keys.
    columns: Arc<[Place]>,
    /// By part: its file, and its number there.
    parts: Vec<(usize, usize)>,
    /// What the files are called, and how many parts they had before any was left out.
    name: Arc<str>,
    all: usize,
    /// By file what the names of its directories say, if these are all files as they were opened.
    keys: Option<Arc<[Keys]>>,
}

/// Columns that directories name, and their values.
type Keys = Vec<(String, Option<String>)>;

#[derive(Clone, Copy, Debug)]
enum Place {
    File(usize),
    Key(usize),
}

#[derive(Clone, Debug)]
struct Member {
    source: Arc<dyn BatchSource>,
    /// An array of one value for every key.
    keys: Arc<[ArrayRef]>,
}

impl Files {
    /// Opens files, which must have the columns of the first: `open` is told what those are.
    ///
    /// # Errors
    /// If there is none, one cannot be opened or has other columns, or their directories have other keys.
    pub fn open(
        found: &[Found],
        open: &dyn Fn(&Path, Option<SchemaRef>) -> Result<Arc<dyn BatchSource>>,
    ) -> Result<Arc<dyn BatchSource>> {
        let Some(first) = found.first() else { return Err(Error::invalid("scan", "no file matches")) };
        let names = |f: &Found| f.keys.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>();
        if let Some(other) = found.iter().find(|f| names(f) != names(first)) {
            let message = format!(
                "is in directories of {:?}, {} of {:?}",
                names(other),
                first.path.display(),
                names(first)
            );
            return Err(Error::format("partitioned table", &other.path, message));
        }
        let mut sources: Vec<Arc<dyn BatchSource>> = vec![];
        for file in found {
            let known = sources.first().map(|s| s.schema().clone());
            let source = open(&file.path, known)?;
            if let Some(first_source) = sources.first() {
                same_columns(first_source.schema(), source.schema()).map_err(|message| {
                    Error::format(
                        "part of this table",
                        &file.path,
                        format!("{message}, unlike {}", first.path.display()),
                    )
                })?;
            }
            sources.push(source);
        }
        if let ([source], true) = (sources.as_slice(), first.keys.is_empty()) {
            return Ok(source.clone());
        }
        let keys: Vec<Vec<ArrayRef>> = (0..first.keys.len()).map(|k| key_values(found, k)).collect();
        let of_files = sources[0].schema().clone();
        let (mut fields, mut columns) = (vec![], vec![]);
        for (c, field) in of_files.fields().iter().enumerate() {
            // a column that is in the files as well: the name of the directory says the same
            if first.keys.iter().all(|(key, _)| key != field.name()) {
                // other files may have nulls where the first has none
                fields.push(field.as_ref().clone().with_nullable(true));
                columns.push(Place::File(c));
            }
        }
        for (k, (name, _)) in first.keys.iter().enumerate() {
            fields.push(Field::new(name, keys[k][0].data_type().clone(), true));
            columns.push(Place::Key(k));
        }
        let member = |(n, source): (usize, Arc<dyn BatchSource>)| Member {
            source,
            keys: keys.iter().map(|k| k[n].clone()).collect(),
        };
        let files: Vec<Member> = sources.into_iter().enumerate().map(member).collect();
        let parts = parts_of(&files);
        let (name, all) = (several(&first.path, found.len()).into(), parts.len());
        let schema = Arc::new(Schema::new(fields));
        let keys = Some(found.iter().map(|f| f.keys.clone()).collect());
        Ok(Arc::new(Files { files, schema, columns: columns.into(), parts, name, all, keys }))
    }

    /// The same table of these files.
    fn of(&self, files: Vec<Member>, schema: SchemaRef) -> Files {
        let parts = parts_of(&files);
        let (columns, name) = (self.columns.clone(), self.name.clone());
        Files { files, schema, columns, parts, name, all: self.all, keys: None }
    }

    /// What a bound says of a file's own columns, given its keys.
    fn inside(&self, bound: &Bound, file: &Member) -> Bound {
        bound.map(&|leaf| {
            let column = match leaf {
                Bound::Compare { column, .. } | Bound::Null { column, .. } => *column,
                _ => return leaf.clone(),
            };
            let mut leaf = leaf.clone();
            match self.columns.get(column) {
                Some(Place::File(c)) => {
                    if let Bound::Compare { column, .. } | Bound::Null { column, .. } = &mut leaf {
                        *column = *c;
                    }
                    leaf
                }
                Some(Place::Key(k)) => {
                    let key = &file.keys[*k];
                    let end = key.is_valid(0).then(|| plain(key));
                    let nulls = Some(u64::from(key.is_null(0)));
                    let known = Facts { min: end.clone(), max: end, nulls, rows: Some(1) };
                    match leaf.may_hold(&|_| known.clone()) {
                        true => Bound::All(vec![]),
                        false => Bound::Any(vec![]),
                    }
                }
                None => Bound::All(vec![]),
            }
        })
    }
}

fn parts_of(files: &[Member]) -> Vec<(usize, usize)> {
    files.iter().enumerate().flat_map(|(k, f)| (0..f.source.parts()).map(move |p| (k, p))).collect()
}

/// By file: the value of its key number `k`; whole numbers if all are, else text into one dictionary.
fn key_values(found: &[Found], k: usize) -> Vec<ArrayRef> {
    let texts: Vec<Option<&str>> = found.iter().map(|f| f.keys[k].1.as_deref()).collect();
    let numbers: Vec<Option<i64>> = texts.iter().map(|t| t.and_then(|t| t.parse().ok())).collect();
    let all_numbers = texts.iter().zip(&numbers).all(|(t, n)| t.is_some() == n.is_some());
    if all_numbers && numbers.iter().any(Option::is_some) {
        return numbers.into_iter().map(|n| Arc::new(Int64Array::from(vec![n])) as ArrayRef).collect();
    }
    let different: BTreeSet<&str> = texts.iter().flatten().copied().collect();
    let values: ArrayRef = Arc::new(StringArray::from_iter_values(&different));
    let codes: std::collections::HashMap<&str, i32> = different.iter().copied().zip(0i32..).collect();
    let one = |t: Option<&str>| {
        let code = Int32Array::from(vec![t.and_then(|t| codes.get(t).copied())]);
        let array = DictionaryArray::<Int32Type>::try_new(code, values.clone());
        array.map_or_else(|_| Arc::new(StringArray::from(vec![t])) as ArrayRef, |a| Arc::new(a) as ArrayRef)
    };
    texts.into_iter().map(one).collect()
}

/// A value of a dictionary as itself.
fn plain(value: &ArrayRef) -> ArrayRef {
    match value.data_type() {
        DataType::Dictionary(_, t) => arrow::compute::cast(value, t).unwrap_or_else(|_| value.clone()),
        _ => value.clone(),
    }
}

/// How columns differ, in words.
fn same_columns(ours: &Schema, theirs: &Schema) -> std::result::Result<(), String> {
    let alike = |a: &Field, b: &Field| a.name() == b.name() && a.data_type() == b.data_type();
    if ours.fields().len() == theirs.fields().len()
        && ours.fields().iter().zip(theirs.fields()).all(|(a, b)| alike(a, b))
    {
        return Ok(());
    }
    let list = |schema: &Schema, other: &Schema| -> Vec<String> {
        let missing = schema.fields().iter().filter(|f| other.field_with_name(f.name()).is_err());
        missing.map(|f| format!("{}: {}", f.name(), f.data_type())).collect()
    };
    let mut said = vec![];
    let (lacks, more) = (list(ours, theirs), list(theirs, ours));
    if !lacks.is_empty() {
        said.push(format!("lacks columns {lacks:?}"));
    }
    if !more.is_empty() {
        said.push(format!("has columns {more:?}"));
    }
    for field in theirs.fields() {
        if let Ok(known) = ours.field_with_name(field.name())
            && known.data_type() != field.data_type()
        {
            said.push(format!(
                "has {} in column {:?}, not {}",
                field.data_type(),
                field.name(),
                known.data_type()
            ));
        }
    }
    if said.is_empty() {
        said.push("has its columns in another order".into());
    }
    Err(said.join(", "))
}

impl BatchSource for Files {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        narrowed_label(self.name.to_string(), self.parts.len(), self.all)
    }

    fn parts(&self) -> usize {
        self.parts.len()
    }

    fn rows(&self) -> Option<usize> {
        self.files.iter().map(|f| f.source.rows()).sum()
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let (file, part) = self.parts[part];
        let file = &self.files[file];
        let places: Vec<Place> = columns.iter().map(|&c| self.columns[c]).collect();
        let inner: Vec<usize> =
            places.iter().filter_map(|p| if let Place::File(c) = p { Some(*c) } else { None }).collect();
        let schema = Arc::new(self.schema.project(columns).map_err(|e| Error::internal(e.to_string()))?);
        file.source.read(part, &inner, &mut |batch| {
            let mut own = batch.columns().iter();
            let mut arrays = vec![];
            for place in &places {
                arrays.push(match place {
                    Place::File(_) => {
                        own.next().cloned().ok_or_else(|| Error::internal("a column is missing"))?
                    }
                    Place::Key(k) => repeated(&file.keys[*k], batch.num_rows())?,
                });
            }
            let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
            let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options);
            each(batch.map_err(|e| Error::internal(e.to_string()))?)
        })
    }

    fn read_bytes(&self, columns: &[usize]) -> usize {
        let inner: Vec<usize> = columns
            .iter()
            .filter_map(|&c| if let Place::File(c) = self.columns[c] { Some(c) } else { None })
            .collect();
        self.files.iter().map(|f| f.source.read_bytes(&inner)).max().unwrap_or(1)
    }

    fn address(&self) -> Result<Option<TableAddress>> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let mut all: Option<TableAddress> = None;
        for (file, keys) in self.files.iter().zip(&**keys) {
            let Some(mut one) = file.source.address()? else { return Ok(None) };
            one.files.iter_mut().for_each(|(_, k)| k.clone_from(keys));
            match &mut all {
                None => all = Some(one),
                Some(all) => all.files.append(&mut one.files),
            }
        }
        Ok(all)
    }

    fn narrowed(&self, bound: &Bound) -> Option<Arc<dyn BatchSource>> {
        let (mut files, mut changed) = (vec![], false);
        for file in &self.files {
            let inside = self.inside(bound, file);
            if !inside.may_hold(&|_| Facts::default()) {
                changed = true;
                continue;
            }
            let narrowed = file.source.narrowed(&inside);
            changed |= narrowed.is_some();
            let source = narrowed.unwrap_or_else(|| file.source.clone());
            files.push(Member { source, keys: file.keys.clone() });
        }
        if !changed {
            return None;
        }
        Some(Arc::new(self.of(files, self.schema.clone())))
    }

    fn with_codes(&self, column: usize) -> Option<Arc<dyn BatchSource>> {
        let Place::File(inside) = *self.columns.get(column)? else { return None };
        let coded_file =
            |f: &Member| Some(Member { source: f.source.with_codes(inside)?, keys: f.keys.clone() });
        let files = self.files.iter().map(coded_file).collect::<Option<_>>()?;
        Some(Arc::new(self.of(files, coded(&self.schema, column)?)))
    }
}

/// An array of one value repeated.
fn repeated(value: &ArrayRef, rows: usize) -> Result<ArrayRef> {
    let places = arrow::array::UInt32Array::from(vec![0; rows]);
    arrow::compute::take(value, &places, None).map_err(|e| Error::internal(e.to_string()))
}

/// What a file is called in plans.
pub(super) fn file_label(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// What several files are called: the first one's name, and how many more there are.
fn several(first: &Path, files: usize) -> String {
    let first = file_label(first);
    if files == 1 { first } else { format!("{first} and {} more", files - 1) }
}

/// What a source is called of which only some parts are left.
pub(super) fn narrowed_label(name: String, parts: usize, all: usize) -> String {
    if parts == all { name } else { format!("{name} ({parts} of {all} parts)") }
}

/// What a decoder gives; some panic at some kinds of damage.
pub(super) fn guarded<T>(format: &'static str, path: &Path, f: impl FnOnce() -> T) -> Result<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(f))
        .map_err(|_| Error::format(format, path, "it is damaged and cannot be decoded"))
}
