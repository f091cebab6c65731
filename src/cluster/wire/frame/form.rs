//! What travels of relations: plain structures without pointers, in the order of tables. Their meaning is checked where relations are made.

use super::super::form::AddressForm;
use crate::expr::frame::{AggOp, JoinKind};
use serde::{Deserialize, Serialize};

/// A computation of rows; the last relation is what is wanted.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct FrameForm {
    /// Memory limit that the plan is made for, in bytes.
    pub limit: u64,
    /// The most shards that a stage is cut into.
    pub shards: u32,
    /// Where the rows go.
    pub to: ToForm,
    /// The types that expressions name, as Arrow's form of a schema.
    pub types: Vec<u8>,
    pub sources: Vec<TableForm>,
    /// Operands come before their users.
    pub exprs: Vec<ExprForm>,
    /// Inputs come before their users.
    pub relations: Vec<RelationForm>,
}

/// Where rows go.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum ToForm {
    /// To the client's memory.
    Rows,
    /// To the client, which writes them.
    Client,
    /// To a directory whose parts workers write.
    Workers { schema: Vec<u8>, texts: Vec<String>, directory: AddressForm },
}

/// Where rows come from. Schemas and rows are in Arrow's form.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum TableForm {
    Rows {
        schema: Vec<u8>,
        rows: Vec<u8>,
    },
    /// A file of rows that lasts as long as the computation; by part, bytes and rows of its pieces.
    Scattered {
        schema: Vec<u8>,
        file: AddressForm,
        parts: Vec<Vec<(u64, u64)>>,
    },
    Files {
        schema: Vec<u8>,
        texts: Vec<String>,
        files: Vec<FileForm>,
    },
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct FileForm {
    pub address: AddressForm,
    pub keys: Vec<(String, Option<String>)>,
}

/// A node of an expression; operations by their place in `ALL`.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum ExprForm {
    Column(String),
    Null,
    Number {
        dtype: u8,
        bits: u64,
    },
    Text(String),
    Typed {
        to: u32,
        value: i64,
    },
    Unary(u8, u32),
    Binary(u8, u32, u32),
    Compare(u8, u32, u32),
    Cast {
        to: u32,
        of: u32,
    },
    IsNull(u32),
    FillNull(u32, u32),
    When(u32, u32, u32),
    Alias(String, u32),
    /// A function of the library's table by its name, and its inputs.
    Call(String, Vec<u32>),
    /// A function of the user's by the name it is registered under.
    User(String, Vec<u32>),
}

/// A column to be made.
pub(super) type NamedForm = (String, u32);

#[derive(Serialize, Deserialize, Debug)]
pub(super) enum RelationForm {
    Scan {
        source: u32,
        columns: Vec<u32>,
    },
    Project {
        of: u32,
        columns: Vec<NamedForm>,
    },
    Filter {
        of: u32,
        mask: u32,
    },
    Aggregate {
        of: u32,
        keys: Vec<NamedForm>,
        folds: Vec<(String, FoldForm, u32)>,
    },
    Join {
        left: u32,
        right: u32,
        kind: u8,
        on: Vec<(u32, u32)>,
        columns: Vec<(u32, String)>,
    },
    Sort {
        of: u32,
        by: Vec<KeyForm>,
    },
    Slice {
        of: u32,
        offset: u64,
        len: u64,
    },
    Tail {
        of: u32,
        len: u64,
    },
    Window {
        of: u32,
        columns: Vec<(String, WindowForm, Vec<u32>)>,
        keys: Vec<u32>,
    },
    Concat(Vec<u32>),
    Distinct {
        of: u32,
        columns: Vec<u32>,
    },
    /// A function, and its schema in Arrow's form.
    MapBatches {
        of: u32,
        function: BatchForm,
        schema: Vec<u8>,
    },
    /// Its name in plans, and the name that a function of runs is registered under, if there is one; `by` says how runs were cut, if they are partitions.
    Runs {
        of: u32,
        label: String,
        by: Option<PartitionForm>,
        name: Option<String>,
        schema: Vec<u8>,
    },
}

/// A function of batches.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum BatchForm {
    /// By the name it is registered under.
    User(String),
    Explode(u64),
    Unpivot(Vec<String>),
    /// Of spans of this length, as it is written.
    Spans(String),
    Stack {
        labels: Vec<String>,
        cells: Vec<Vec<Option<u64>>>,
    },
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) enum PartitionForm {
    Rows(u64),
    Count(u64),
    Hash(Vec<u32>, u64),
    Range(Vec<KeyForm>, u64),
}

/// A key of a sort: whether it descends, and whether its nulls come first.
pub(super) type KeyForm = (u32, bool, bool);

/// A fold; those without parameters by their place in [`FOLDS`].
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum FoldForm {
    Plain(u8),
    Var(u8),
    Std(u8),
    Quantile(f64),
    TopK(u64),
    BottomK(u64),
    /// The user's, by the name it is registered under.
    User(String),
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) enum WindowForm {
    Cumulative(FoldForm),
    Shift(i64),
    FillForward,
    FillBackward,
    Rolling { fold: FoldForm, rows: Option<u64>, time: u64, min_periods: u64 },
    RowNumber,
    GroupNumber,
    Random(u64),
}

pub(super) const FOLDS: &[AggOp] = &[
    AggOp::Sum,
    AggOp::Prod,
    AggOp::Mean,
    AggOp::Min,
    AggOp::Max,
    AggOp::Count,
    AggOp::Len,
    AggOp::Median,
    AggOp::First,
    AggOp::Last,
    AggOp::NUnique,
    AggOp::List,
    AggOp::All,
    AggOp::Any,
];

pub(super) const JOINS: &[JoinKind] = &[
    JoinKind::Inner,
    JoinKind::Left,
    JoinKind::Right,
    JoinKind::Full,
    JoinKind::Semi,
    JoinKind::Anti,
    JoinKind::Cross,
];
