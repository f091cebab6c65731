//! The expressions of a plan as one table without repetition: equal operations on equal operands are one node.

use crate::dtype::DType;
use crate::expr::{Expr, Op};
use crate::shape::{Dims, Grid};
use smallvec::SmallVec;
use std::collections::HashMap;

/// Number of a node; operands have smaller numbers than their users.
pub type NodeId = usize;

/// An operation on nodes.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct DagNode {
    pub op: Op,
    pub inputs: SmallVec<[NodeId; 3]>,
    pub dtype: DType,
    pub shape: Dims,
    /// Chunks of the result. Part of a node's identity only where they change what it computes.
    pub grid: Grid,
    /// Chunks of each input, for operations to which they matter.
    pub input_grids: Vec<Grid>,
}

/// The table.
#[derive(Debug, Default)]
pub struct Dag {
    pub nodes: Vec<DagNode>,
}

impl Dag {
    /// The expressions as one table, and the node of each.
    ///
    /// A rechunk is no node: any region of anything can be asked for, so other chunks change nothing but the grid of the
    /// pass that writes or folds them.
    pub fn new(roots: &[Expr]) -> (Dag, Vec<NodeId>) {
        let mut dag = Dag::default();
        let mut place: HashMap<usize, NodeId> = HashMap::new();
        let mut known: HashMap<DagNode, NodeId> = HashMap::new();
        // depth first without recursion: a chain may be longer than the stack is deep
        let mut stack: Vec<(Expr, bool)> = roots.iter().rev().map(|e| (e.clone(), false)).collect();
        while let Some((expr, ready)) = stack.pop() {
            if place.contains_key(&expr.address()) {
                continue;
            }
            let node = expr.node();
            if !ready {
                stack.push((expr.clone(), true));
                stack.extend(node.inputs.iter().rev().map(|e| (e.clone(), false)));
                continue;
            }
            let inputs: SmallVec<[NodeId; 3]> = node.inputs.iter().map(|e| place[&e.address()]).collect();
            let id = if node.op == Op::Rechunk {
                inputs[0]
            } else {
                let of_blocks = matches!(node.op, Op::MapBlocks(_));
                // folds and scans pass along their input's chunks; a function of blocks sees them
                let sees_chunks = of_blocks || matches!(node.op, Op::Reduce { .. } | Op::Scan { .. });
                let entry = DagNode {
                    op: node.op.clone(),
                    inputs,
                    dtype: node.dtype,
                    shape: node.shape.clone(),
                    grid: if of_blocks { node.grid.clone() } else { Grid::single(&node.shape) },
                    input_grids: if sees_chunks {
                        node.inputs.iter().map(|e| e.grid().clone()).collect()
                    } else {
                        vec![]
                    },
                };
                let next = dag.nodes.len();
                *known.entry(entry).or_insert_with_key(|entry| {
                    let mut entry = entry.clone();
                    entry.grid = node.grid.clone();
                    dag.nodes.push(entry);
                    next
                })
            };
            place.insert(expr.address(), id);
        }
        (dag, roots.iter().map(|e| place[&e.address()]).collect())
    }
}
