//! What travels: plain structures without pointers, nodes in the order of a table. Their meaning is checked where a graph is made of them.

use serde::{Deserialize, Serialize};

/// A computation.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct JobForm {
    /// Memory limit that the plan is made for, in bytes.
    pub limit: u64,
    /// The most shards that a stage is cut into.
    pub shards: u32,
    pub sources: Vec<SourceForm>,
    /// Operands come before their users.
    pub nodes: Vec<NodeForm>,
    pub targets: Vec<TargetForm>,
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct SourceForm {
    pub dtype: u8,
    pub grid: Vec<ChunksForm>,
    pub place: PlaceForm,
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) enum PlaceForm {
    /// The elements, in C order.
    Bytes(Vec<u8>),
    /// A file of the elements that lasts as long as the computation.
    Scattered(AddressForm),
    Address(AddressForm),
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct AddressForm {
    pub format: String,
    pub path: String,
    pub options: Vec<(String, u64)>,
    pub stamp: [u64; 2],
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) enum ChunksForm {
    Regular { first: u64, size: u64, len: u64 },
    Explicit(Vec<u64>),
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct NodeForm {
    pub op: OpForm,
    pub inputs: Vec<u32>,
    pub dtype: u8,
    pub grid: Vec<ChunksForm>,
}

/// An operation; those of the enums of [`crate::op`] by their place in `ALL`.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum OpForm {
    Source(u32),
    Const { dtype: u8, bits: u64 },
    Index { axis: u8 },
    Random,
    Cast,
    Unary(u8),
    Binary(u8),
    Compare(u8),
    Select,
    MulAdd,
    View(Vec<AxisForm>),
    Reshape,
    Concat { axis: u8 },
    Take { axis: u8, places: Vec<u64> },
    Pad { before: Vec<u64>, after: Vec<u64>, mode: u8 },
    Rechunk,
    Reduce { op: u8, axes: Vec<u8> },
    Scan { op: u8, axis: u8 },
    Product { batch: u8, contracted: u8 },
    MapBlocks { name: String, halo: Vec<u64>, scratch: u64 },
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct AxisForm {
    pub from: Option<u8>,
    pub start: i64,
    pub step: i64,
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) struct TargetForm {
    pub node: u32,
    pub to: ToForm,
}

#[derive(Serialize, Deserialize, Debug)]
pub(super) enum ToForm {
    /// To the client's memory.
    Memory,
    /// To a sink that the client writes.
    Client { grid: Vec<ChunksForm> },
    /// To a sink that workers write.
    Workers { grid: Vec<ChunksForm>, address: AddressForm },
}
