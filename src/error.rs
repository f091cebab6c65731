//! The one error type: what went wrong, with values, and where the user asked for it.

use crate::dtype::DType;
use std::fmt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// `std::result::Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, and the line of the caller's code that asked for it when known.
///
/// Lazy operations never panic: a bad expression carries its error to the call that computes it, and the error
/// still names the line where the expression was built.
#[derive(Clone)]
pub struct Error {
    kind: Arc<ErrorKind>,
    location: Option<&'static Location<'static>>,
}

/// The kinds of failure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Shapes that do not broadcast or do not match.
    #[error("{op}: shapes {left:?} and {right:?} do not match{hint}")]
    ShapeMismatch {
        /// Operation.
        op: &'static str,
        /// One shape.
        left: Vec<usize>,
        /// The other.
        right: Vec<usize>,
        /// What to do, starting with "; ", or empty.
        hint: &'static str,
    },
    /// An axis outside `-ndim..ndim`, or one named twice.
    #[error("{op}: axis {axis} is not valid for an array of {ndim} dimensions")]
    Axis {
        /// Operation.
        op: &'static str,
        /// The axis as given.
        axis: isize,
        /// The array's rank.
        ndim: usize,
    },
    /// An index outside the axis.
    #[error("{op}: index {index} is out of bounds for axis {axis} of length {len}")]
    Index {
        /// Operation.
        op: &'static str,
        /// The index as given.
        index: isize,
        /// Axis.
        axis: usize,
        /// Length of the axis.
        len: usize,
    },
    /// An operation that a dtype does not have.
    #[error("{op}: not defined for {dtype}; {hint}")]
    DType {
        /// Operation.
        op: String,
        /// The dtype it met.
        dtype: DType,
        /// What it takes, or how to convert.
        hint: String,
    },
    /// An argument that makes no sense.
    #[error("{op}: {message}")]
    InvalidArgument {
        /// Operation.
        op: &'static str,
        /// What is wrong with which value.
        message: String,
    },
    /// One task, result or intermediate cannot fit the memory limit. Found before any work.
    #[error(
        "{op} needs {needed} bytes but the memory limit is {limit} bytes; raise the limit or use smaller chunks \
         (chunks now: {chunks})"
    )]
    MemoryLimit {
        /// The operation that needs most.
        op: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes allowed.
        limit: u64,
        /// The chunk shape of the pass.
        chunks: String,
    },
    /// The operating system refused something.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// "reading", "writing", "creating"...
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file that is not what its format says.
    #[error("{}: not a valid {format}: {message}", path.display())]
    Format {
        /// "GeoTIFF", "Zarr array", "npy"...
        format: &'static str,
        /// File or directory.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// One stored chunk that cannot be decoded.
    #[error("{}: chunk {chunk:?} is corrupt: {message}", path.display())]
    CorruptChunk {
        /// File or directory.
        path: PathBuf,
        /// Index of the chunk in the file's grid.
        chunk: Vec<usize>,
        /// What is wrong.
        message: String,
    },
    /// Something this build or this format cannot do.
    #[error("{what} is not supported: {hint}")]
    Unsupported {
        /// What was asked for.
        what: String,
        /// What to do instead.
        hint: String,
    },
    /// A GPU that refused, failed or was lost.
    #[error("{device}: {action}: {message}")]
    Device {
        /// The GPU's name.
        device: String,
        /// "opening", "compiling a kernel", "running a kernel"...
        action: &'static str,
        /// What its driver says, and what to do.
        message: String,
    },
    /// A column that a frame does not have.
    #[error("there is no column {name:?}{}; the columns are {known:?}", nearest.as_ref().map(|n| format!(" (did you mean {n:?}?)")).unwrap_or_default())]
    Column {
        /// The name asked for.
        name: String,
        /// The known name that is most like it, if one is.
        nearest: Option<String>,
        /// All names.
        known: Vec<String>,
    },
    /// An operation of columns that their types do not have.
    #[error("{expression}: {message}")]
    ColumnType {
        /// The expression.
        expression: String,
        /// What does not fit, and what to do.
        message: String,
    },
    /// A row of a text file that cannot be read.
    #[error("{}, line {line}: {message}", path.display())]
    Row {
        /// File.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong with which column.
        message: String,
    },
    /// A value that an operation of columns cannot take.
    #[error("{op}: {message}")]
    Value {
        /// Operation.
        op: String,
        /// Which value, and what to do.
        message: String,
    },
    /// A user's function returned an error or panicked.
    #[error("{op} at block {block:?}: {message}")]
    Function {
        /// Operation that called it.
        op: String,
        /// Index of the block in the grid.
        block: Vec<usize>,
        /// The function's message.
        message: String,
    },
    /// Bytes from another process that are not what they should be.
    #[error("{what} that came over the wire: {message}")]
    Wire {
        /// "computation", "piece", "answer"...
        what: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A worker of a cluster met an error.
    #[error("worker {worker}, {place}: {message}")]
    Worker {
        /// The worker's name.
        worker: String,
        /// Stage, tasks and operation.
        place: String,
        /// The error.
        message: String,
    },
    /// A cluster that cannot be reached, or could not finish.
    #[error("cluster {url}: {action}: {message}")]
    Cluster {
        /// The scheduler's address.
        url: String,
        /// "connecting", "running"...
        action: &'static str,
        /// What went wrong, with which workers, and what to do.
        message: String,
    },
    /// The run was cancelled.
    #[error("the run was cancelled")]
    Cancelled,
    /// A defect of this library: please report it.
    #[error("internal error (please report): {0}")]
    Internal(String),
}

impl Error {
    /// The kind, to match on.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The line of the caller's code where the failing expression was built.
    pub fn location(&self) -> Option<&'static Location<'static>> {
        self.location
    }

    /// The same error, naming a line of the caller's code unless it already names one.
    pub fn at(mut self, location: &'static Location<'static>) -> Error {
        self.location.get_or_insert(location);
        self
    }

    /// An [`ErrorKind::InvalidArgument`].
    pub fn invalid(op: &'static str, message: impl Into<String>) -> Error {
        ErrorKind::InvalidArgument { op, message: message.into() }.into()
    }

    /// An [`ErrorKind::Io`].
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Error {
        ErrorKind::Io { action, path: path.as_ref().to_owned(), source }.into()
    }

    /// An [`ErrorKind::Format`].
    pub fn format(format: &'static str, path: impl AsRef<Path>, message: impl fmt::Display) -> Error {
        ErrorKind::Format { format, path: path.as_ref().to_owned(), message: message.to_string() }.into()
    }

    /// An [`ErrorKind::Column`], with the name among those known that is most like the one asked for.
    pub fn no_column<'a>(name: &str, known: impl IntoIterator<Item = &'a String>) -> Error {
        let known: Vec<String> = known.into_iter().cloned().collect();
        let near = known.iter().map(|k| (distance(k, name), k)).min();
        let nearest = near.filter(|(d, k)| *d <= k.len().max(name.len()) / 2).map(|(_, k)| k.clone());
        ErrorKind::Column { name: name.into(), nearest, known }.into()
    }

    /// An [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Error {
        ErrorKind::Internal(message.into()).into()
    }
}

/// Insertions, deletions and replacements that make one text of the other (Levenshtein), without regard to case.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.to_lowercase().chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], next);
        }
    }
    row[b.len()]
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        Error { kind: Arc::new(kind), location: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match self.location {
            Some(at) => write!(f, " (expression built at {}:{}:{})", at.file(), at.line(), at.column()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} [{:?}]", self.kind)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.kind {
            ErrorKind::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
