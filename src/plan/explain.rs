//! Plans in words.

use super::dag::{Dag, NodeId};
use super::{Plan, Stage, StageRoot, Step, StepKind};
use crate::config::format_bytes as bytes;
use std::fmt;
use std::fmt::Write;

/// The logical graph, one line a node, operands first.
pub fn logical(dag: &Dag, targets: &[NodeId]) -> String {
    let mut out = String::new();
    for (id, node) in dag.nodes.iter().enumerate() {
        let inputs: Vec<String> = node.inputs.iter().map(|i| format!("#{i}")).collect();
        let mark = if targets.contains(&id) { "  <- target" } else { "" };
        let _ = write!(out, "#{id} = {}", node.op);
        if !inputs.is_empty() {
            let _ = write!(out, " of {}", inputs.join(" "));
        }
        let _ = writeln!(
            out,
            " : {} {:?} in {} blocks {}{mark}",
            node.dtype,
            node.shape,
            node.grid.len(),
            node.grid
        );
    }
    out
}

impl Step {
    /// What the step does, in plans and errors.
    pub fn label(&self) -> String {
        match &self.kind {
            StepKind::Read(source) => format!("reading {}", source.label()),
            StepKind::ReadResult(r) => format!("result {} of stage {}", r.root, r.stage),
            StepKind::Kernel(_) => "temporary".into(),
            StepKind::Reshape => "reshape".into(),
            StepKind::Concat { axis, .. } => format!("concatenate along axis {axis}"),
            StepKind::Gather(_) => "gather".into(),
            StepKind::Product(p) => {
                let (axes, panels) = (p.product.contracted, p.product.panels.len());
                format!("product over {axes} axes in {panels} panels")
            }
            StepKind::MapBlocks { map, .. } => format!("map_blocks {}", map.name),
        }
    }
}

fn root_label(root: &StageRoot) -> String {
    match root {
        StageRoot::Memory { dtype, .. } => format!("store {dtype} in memory"),
        StageRoot::Into(block) => format!("store {} into the caller's memory", block.dtype()),
        StageRoot::Sink(sink) => format!("write {}", sink.label()),
        StageRoot::Spill { grid, .. } => format!("spill in chunks {grid}"),
        StageRoot::Reduce { op, axes, .. } => format!("{op} over axes {axes:?}"),
        StageRoot::Scan { op, axis, .. } => format!("cumulative {op} along axis {axis}"),
    }
}

impl Stage {
    /// What the stage does, in a few words.
    pub fn label(&self) -> String {
        self.roots.iter().map(root_label).collect::<Vec<_>>().join("; ")
    }

    /// The dtype of what the kernel's root number `root` stores.
    pub fn store_dtype(&self, root: usize) -> crate::dtype::DType {
        let value = self.kernel.roots()[root].operands()[0];
        self.kernel.dtype(value)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} tasks over {:?}, chunks {}; {} a task, {} held",
            self.tasks(),
            self.grid.shape(),
            self.grid,
            bytes(self.memory.task),
            bytes(self.memory.held)
        )?;
        for (n, step) in self.steps.iter().enumerate() {
            write!(f, "  s{n}: {} : {} {:?}", step.label(), step.dtype, step.shape)?;
            if !step.inputs.is_empty() {
                let from: Vec<String> = step.inputs.iter().map(|s| format!("s{s}")).collect();
                write!(f, " of {}", from.join(" "))?;
            }
            writeln!(f)?;
            if let StepKind::Kernel(kernel) = &step.kind {
                indent(f, &kernel.to_string(), 4)?;
            }
        }
        let from: Vec<String> = self.kernel_inputs.iter().map(|s| format!("s{s}")).collect();
        writeln!(f, "  kernel of {}", if from.is_empty() { "nothing".into() } else { from.join(" ") })?;
        indent(f, &self.kernel.to_string(), 4)?;
        for (n, root) in self.roots.iter().enumerate() {
            writeln!(f, "  root {n}: {}", root_label(root))?;
        }
        Ok(())
    }
}

fn indent(f: &mut fmt::Formatter<'_>, text: &str, by: usize) -> fmt::Result {
    text.lines().try_for_each(|line| writeln!(f, "{:by$}{line}", ""))
}

/// The logical graph, then every stage with its projected memory, steps and kernels.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "logical")?;
        indent(f, &self.logical, 2)?;
        for (n, stage) in self.stages.iter().enumerate() {
            write!(f, "stage {n}: {stage}")?;
        }
        Ok(())
    }
}
