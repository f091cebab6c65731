//! From a relation to pipelines: one pass over the rows of each, nothing kept but what the pipeline's root keeps.

mod lower;
mod program;
mod sides;

pub use lower::lower;
pub use program::{Code, Effect, KernelStep, Operation, Program, Register, Step, Variant};

use crate::block::{BatchSink, BatchSource};
use crate::expr::frame::{BatchFn, BatchFunction, JoinKind, UserFold, WindowOp};
use arrow::datatypes::{DataType, SchemaRef};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What to run for a relation: pipelines in order, of which later ones read what earlier ones kept. The last one's root is the result.
pub struct FramePlan {
    /// The pipelines.
    pub pipelines: Vec<Pipeline>,
    /// Columns of the result.
    pub schema: SchemaRef,
}

/// One pass: rows of several inputs, one after the other, through steps into one root.
pub struct Pipeline {
    /// Where rows come from, and what is done with each.
    pub chains: Vec<Chain>,
    /// Where they end.
    pub root: Root,
    /// Columns of the rows that the root leaves.
    pub schema: SchemaRef,
}

/// An input and the steps its rows take.
#[derive(Clone)]
pub struct Chain {
    /// Where rows come from.
    pub input: Input,
    /// What is done with a batch of them, in order.
    pub steps: Vec<Arc<RowStep>>,
}

/// Where rows come from.
#[derive(Clone)]
pub enum Input {
    /// Columns of a source.
    Scan {
        /// The source.
        source: Arc<dyn BatchSource>,
        /// Places of the columns in its schema.
        columns: Arc<[usize]>,
    },
    /// What an earlier pipeline left.
    Result(usize),
    /// The rows that a join by exchange made of parts of files.
    Joined {
        /// The pipeline that joins.
        of: usize,
        /// The parts that were a span each.
        spans: Arc<[Range<usize>]>,
    },
}

impl Input {
    /// The pipeline whose rows these are, if they are not those of a source.
    pub fn pipeline(&self) -> Option<usize> {
        match self {
            Input::Scan { .. } => None,
            Input::Result(n) | Input::Joined { of: n, .. } => Some(*n),
        }
    }
}

/// What is done with a batch of rows; each row by itself.
pub enum RowStep {
    /// Keeps the rows where the program's one result is true.
    Filter(Program),
    /// Keeps the rows in which none of these columns is null: a filter that costs nothing where there are no nulls.
    DropNulls(Vec<usize>),
    /// Makes new columns.
    Project(Program, SchemaRef),
    /// Finds the partners of rows in what a pipeline built.
    Probe(Probe),
    /// A function of batches, and what it yields.
    MapBatches(BatchFunction, SchemaRef),
}

/// One side of a join that looks for partners in the other.
#[derive(Clone)]
pub struct Probe {
    /// The pipeline whose root is the other side.
    pub build: usize,
    /// `Inner`, `Left`, `Semi`, `Anti` or `Cross`: the rest is made of these.
    pub kind: JoinKind,
    /// Makes the keys.
    pub keys: Arc<Program>,
    /// The last so many columns of this side are not there for the keys.
    pub hidden: usize,
    /// Columns of the other side that are taken.
    pub right: Vec<usize>,
    /// Columns of the result: this side's, then those.
    pub schema: SchemaRef,
}

impl Probe {
    /// How many columns of this side the keys are made of.
    pub fn seen(&self) -> usize {
        self.schema.fields().len() - self.right.len() - self.hidden
    }
}

/// Where the rows of a pipeline end.
pub enum Root {
    /// Kept in order; `len` rows from number `offset`.
    Collect {
        /// First row kept.
        offset: usize,
        /// Number of rows kept.
        len: usize,
    },
    /// The last rows, in order.
    Tail(usize),
    /// Kept in order, with columns that depend on the rows before, or after.
    Window(WindowPlan),
    /// Folded by group.
    Group(GroupPlan),
    /// Kept in another order.
    Sort(SortPlan),
    /// Kept for a probe.
    Build {
        /// Makes the keys that are looked up.
        keys: Arc<Program>,
        /// Whether these rows and those of the probe are in the order of their keys.
        in_order: bool,
    },
    /// The first row of every group kept.
    Distinct(Vec<usize>),
    /// Runs of rows, each made into something by itself; kept in order.
    Runs(RunsPlan),
    /// Handed to a sink, in order.
    Write(Arc<dyn BatchSink>),
    /// Cut by a hash of their keys, for other machines.
    Exchange {
        /// Makes the keys.
        keys: Arc<Program>,
        /// Whether the last column of what comes of them is the row's number in its part.
        numbered: bool,
    },
    /// What a join makes of rows that were exchanged, for the machines that have their parts.
    Hand {
        /// The column that is the left row's number.
        at: usize,
    },
}

/// How rows are folded by group.
pub struct GroupPlan {
    /// What the folds need that their kernel cannot compute; results are the keys, then the values of the host's folds.
    pub program: Program,
    /// Number of keys.
    pub keys: usize,
    /// How many keys, from the first on, are such that rows with equal ones follow each other: all, or one that is hardly ever the same for two
    /// groups. None if nothing is known.
    pub in_order: Option<usize>,
    /// The kernel of the folds: its effects are all by group.
    pub kernel: KernelStep,
    /// Folds that are no kernel's: values by group are kept until the end.
    pub hosts: Vec<HostFold>,
    /// The columns made of the folds, after the keys.
    pub columns: Vec<FoldColumn>,
}

/// A fold of which the host does the work.
#[derive(Clone, Debug)]
pub enum HostFold {
    /// The first value that is not null.
    First,
    /// The last one.
    Last,
    /// The smallest text or decimal.
    Min,
    /// The largest text or decimal.
    Max,
    /// The sum of decimals; errors call it so.
    Sum(Arc<str>),
    /// The quantile of numbers.
    Quantile(f64),
    /// The number of different values.
    NUnique,
    /// A list of the largest values, or the smallest.
    Top {
        /// How many.
        k: usize,
        /// Whether the largest.
        largest: bool,
    },
    /// A list of all values.
    List,
    /// A fold of the user's, of packed columns of this type.
    User(UserFold, DataType),
}

/// How a column of a grouped result is made of folds. Numbers are those of the kernel's effects.
#[derive(Clone, Debug)]
pub enum FoldColumn {
    /// The effect's first plane, converted to the type.
    Plane(usize, DataType),
    /// The same, null where the count (the second effect) is 0.
    PlaneUnlessEmpty(usize, usize, DataType),
    /// The first effect's plane by the second's, null where that is 0.
    Mean(usize, usize),
    /// Of an M2: by the count less `ddof`, null where that is not positive; the root of it if `root`.
    Variance {
        /// The M2's effect.
        m2: usize,
        /// Degrees of freedom taken off.
        ddof: u8,
        /// Whether the square root is taken.
        root: bool,
    },
    /// The host's fold of this number, of this type.
    Host(usize, DataType),
}

/// What is made of rows in their order.
pub struct WindowPlan {
    /// Makes the inputs of the columns, then the keys.
    pub program: Program,
    /// Number of keys.
    pub keys: usize,
    /// The columns: function, number of inputs, type.
    pub columns: Vec<(WindowOp, usize, DataType)>,
}

/// What is done with runs of rows, whose number is their last column.
pub struct RunsPlan {
    /// Name for plans and errors.
    pub name: Arc<str>,
    /// What a function gets: all columns but the number.
    pub input: SchemaRef,
    /// The user's function; without one the rows stay as they are.
    pub function: Option<Arc<BatchFn>>,
}

/// How rows are put in order.
pub struct SortPlan {
    /// Makes the keys.
    pub keys: Program,
    /// By key: descending, nulls first.
    pub options: Vec<(bool, bool)>,
    /// The first rows are wanted, this many.
    pub keep: usize,
}

impl fmt::Display for FramePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, pipeline) in self.pipelines.iter().enumerate() {
            writeln!(f, "pipeline {n}")?;
            for chain in &pipeline.chains {
                match &chain.input {
                    Input::Scan { source, columns } => {
                        let name = |&c: &usize| match source.schema().field(c) {
                            f if matches!(f.data_type(), DataType::Dictionary(..)) => {
                                format!("{} as codes", f.name())
                            }
                            f => f.name().clone(),
                        };
                        let names: Vec<String> = columns.iter().map(name).collect();
                        writeln!(
                            f,
                            "  read {} [{}], {} parts",
                            source.label(),
                            names.join(", "),
                            source.parts()
                        )?;
                    }
                    Input::Result(of) => writeln!(f, "  read pipeline {of}")?,
                    Input::Joined { of, .. } => writeln!(f, "  read pipeline {of} by parts")?,
                }
                for step in &chain.steps {
                    writeln!(f, "    {step}")?;
                }
            }
            writeln!(f, "  {}", pipeline.root)?;
        }
        Ok(())
    }
}

impl fmt::Display for RowStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RowStep::DropNulls(columns) => write!(f, "drop nulls of {} columns", columns.len()),
            RowStep::Filter(program) => write!(f, "filter ({program})"),
            RowStep::Project(program, schema) => {
                let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
                write!(f, "project [{}] ({program})", names.join(", "))
            }
            RowStep::Probe(probe) => {
                write!(f, "{} join with pipeline {}", format!("{:?}", probe.kind).to_lowercase(), probe.build)
            }
            RowStep::MapBatches(function, _) => write!(f, "map_batches {}", function.name()),
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Collect { offset: 0, len: usize::MAX } => write!(f, "collect"),
            Root::Collect { offset, len } => {
                write!(f, "collect rows {offset} to {}", offset.saturating_add(*len))
            }
            Root::Window(w) => write!(f, "collect with {} functions of rows in order", w.columns.len()),
            Root::Tail(len) => write!(f, "collect the last {len} rows"),
            Root::Group(g) => {
                let masked = if g.kernel.mask.is_some() { ", filtered in it" } else { "" };
                let order = if g.in_order.is_some() { " in order" } else { "" };
                write!(f, "group by {} keys{order}: ", g.keys)?;
                write!(f, "{} folds in a kernel{masked}", g.kernel.effects.len())?;
                if g.hosts.is_empty() { Ok(()) } else { write!(f, ", {} on the host", g.hosts.len()) }
            }
            Root::Sort(s) if s.keep < usize::MAX => {
                write!(f, "sort by {} keys, the first {}", s.options.len(), s.keep)
            }
            Root::Sort(s) => write!(f, "sort by {} keys", s.options.len()),
            Root::Build { keys, in_order } => {
                write!(
                    f,
                    "build a table of {} keys{}",
                    keys.outputs.len(),
                    if *in_order { ", in order" } else { "" }
                )
            }
            Root::Write(sink) => write!(f, "write {}", sink.label()),
            Root::Exchange { keys, .. } => write!(f, "exchange by {} keys", keys.outputs.len()),
            Root::Hand { .. } => write!(f, "join what was exchanged"),
            Root::Runs(runs) => write!(f, "{}", runs.name),
            Root::Distinct(on) => write!(f, "keep the first of equal rows in {} columns", on.len()),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernels = self.steps.iter().filter(|s| matches!(s, Step::Kernel(_))).count();
        let hosts = self.steps.iter().filter(|s| matches!(s, Step::Host { .. })).count();
        write!(f, "{kernels} kernels, {hosts} functions")
    }
}
