//! Rows on their way between machines: cut by a hash of their keys for those that look for partners, and back in the order of the files.
//!
//! A join whose kept side is too large for every machine is done by range of hashes: both sides' rows go to the machine of their range, the
//! left ones with their number in their part of the file. What it makes of a part goes to the machine that has this part, which
//! puts what came of all ranges in the order of the numbers: the rows that the part would have made with the whole other side.

use super::evaluate::{evaluate, internal};
use super::keys::content_hashes;
use super::parts::with_numbers;
use super::pipeline::{Gather, Left, PipelineRun};
use super::share::Came;
use super::store::project;
use super::travel::{bad, pack, rows_of};
use crate::block::BatchSource;
use crate::block::batch::{PIECE, batch_bytes, in_pieces};
use crate::error::{Error, Result};
use crate::plan::frame::Program;
use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::{SchemaRef, UInt64Type};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Ranges of hashes.
pub(super) const PARTS: usize = 256;

/// The range that a hash is in; other bits of it say where rows go on disk.
fn part(hash: u64) -> usize {
    (hash >> 48) as usize % PARTS
}

/// A root that cuts rows for the machines of the next stage.
pub(super) struct Exchange<'a> {
    pub keys: &'a Program,
    /// Whether rows get their number.
    pub numbered: bool,
    /// The parts of each machine.
    pub cuts: &'a [Range<usize>],
    pub run: &'a PipelineRun<'a>,
}

/// The rows of a part of a file, by machine.
pub(super) struct Cutting {
    by_cut: Vec<Vec<RecordBatch>>,
    rows: u64,
    bytes: usize,
}

impl Gather for Exchange<'_> {
    const BY_PART: bool = true;
    type State = Cutting;
    type Whole = ();

    fn state(&self) -> Cutting {
        Cutting { by_cut: vec![vec![]; self.cuts.len()], rows: 0, bytes: 0 }
    }

    fn whole(&self) -> Result<()> {
        Ok(())
    }

    fn push(&self, state: &mut Cutting, _task: usize, rows: RecordBatch) -> Result<()> {
        let keys = evaluate(self.keys, &rows, self.run.rt.kernels)?;
        let mut lists: Vec<Vec<u32>> = vec![vec![]; self.cuts.len()];
        for (row, hash) in content_hashes(&keys, rows.num_rows())?.into_iter().enumerate() {
            let cut = self.cuts.partition_point(|parts| parts.end <= part(hash));
            lists.get_mut(cut).ok_or_else(|| Error::internal("a part of no machine"))?.push(row as u32);
        }
        let count = rows.num_rows() as u64;
        let rows = if self.numbered { with_numbers(&rows, state.rows)? } else { rows };
        state.rows += count;
        for (of, list) in state.by_cut.iter_mut().zip(lists).filter(|(_, list)| !list.is_empty()) {
            let rows = take_record_batch(&rows, &UInt32Array::from(list)).map_err(internal)?;
            state.bytes += batch_bytes(&rows);
            of.push(rows);
        }
        Ok(())
    }

    fn bytes(&self, state: &Cutting) -> usize {
        state.bytes
    }

    fn merge(&self, (): &mut (), _span: usize, _state: Cutting) -> Result<()> {
        Err(Error::internal("rows for other machines"))
    }

    fn whole_bytes(&self, (): &()) -> usize {
        0
    }

    fn finish(&self, (): ()) -> Result<Left> {
        Ok(Left::Nothing)
    }

    fn export(&self, _span: usize, state: Cutting, _cuts: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        // each is freed when its bytes are there
        state.by_cut.into_iter().map(|rows| pack(rows.iter())).collect()
    }
}

/// A root whose rows go on as they are, part by part.
pub(super) struct Hand;

impl Gather for Hand {
    type State = Vec<RecordBatch>;
    type Whole = ();

    fn state(&self) -> Vec<RecordBatch> {
        vec![]
    }

    fn whole(&self) -> Result<()> {
        Ok(())
    }

    fn push(&self, state: &mut Vec<RecordBatch>, _task: usize, rows: RecordBatch) -> Result<()> {
        if rows.num_rows() > 0 {
            state.push(rows);
        }
        Ok(())
    }

    fn bytes(&self, state: &Vec<RecordBatch>) -> usize {
        state.iter().map(batch_bytes).sum()
    }

    fn merge(&self, (): &mut (), _span: usize, _state: Vec<RecordBatch>) -> Result<()> {
        Err(Error::internal("rows for other machines"))
    }

    fn whole_bytes(&self, (): &()) -> usize {
        0
    }

    fn finish(&self, (): ()) -> Result<Left> {
        Ok(Left::Nothing)
    }

    fn export(&self, _span: usize, state: Vec<RecordBatch>, _: &[Range<usize>]) -> Result<Vec<Vec<u8>>> {
        Ok(vec![pack(state.iter())?])
    }
}

/// Rows of a range of hashes that came for this machine: a part is what a part of the files has of them.
pub(super) struct Exchanged {
    schema: SchemaRef,
    came: Arc<dyn Came>,
    stage: usize,
    cut: usize,
    bytes: usize,
}

impl Exchanged {
    pub fn new(schema: &SchemaRef, came: &Arc<dyn Came>, stage: usize, cut: usize) -> Exchanged {
        let bytes = (0..came.count(stage)).map(|number| came.len(stage, cut, number)).max();
        Exchanged { schema: schema.clone(), came: came.clone(), stage, cut, bytes: bytes.unwrap_or(0) }
    }
}

impl fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exchanged(stage {}, cut {})", self.stage, self.cut)
    }
}

impl BatchSource for Exchanged {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        format!("rows that stage {} cut", self.stage)
    }

    fn parts(&self) -> usize {
        self.came.count(self.stage)
    }

    fn rows(&self) -> Option<usize> {
        None
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        for rows in rows_of(self.came.piece(self.stage, self.cut, part)?, &self.schema)? {
            if !in_pieces(&project(&rows, columns)?, each)? {
                break;
            }
        }
        Ok(())
    }

    fn read_bytes(&self, _columns: &[usize]) -> usize {
        1 + self.bytes
    }
}

/// What joins by ranges of hashes made of parts of the files, those that this machine has; in the order of the left rows.
pub(super) struct Joined {
    /// Without the numbers of left rows, which are column `at` of what comes.
    schema: SchemaRef,
    with_numbers: SchemaRef,
    at: usize,
    came: Arc<dyn Came>,
    stage: usize,
    bytes: usize,
}

impl Joined {
    pub fn new(with_numbers: &SchemaRef, at: usize, came: &Arc<dyn Came>, stage: usize) -> Result<Joined> {
        let all: Vec<usize> = (0..with_numbers.fields().len()).filter(|&c| c != at).collect();
        let schema = Arc::new(with_numbers.project(&all).map_err(internal)?);
        let of = |number| (0..came.roots(stage)).map(|root| came.len(stage, root, number)).sum::<usize>();
        let bytes = (0..came.count(stage)).map(of).max().unwrap_or(0);
        Ok(Joined { schema, with_numbers: with_numbers.clone(), at, came: came.clone(), stage, bytes })
    }
}

impl fmt::Debug for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Joined(stage {})", self.stage)
    }
}

impl BatchSource for Joined {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn label(&self) -> String {
        format!("rows that stage {} joined", self.stage)
    }

    fn parts(&self) -> usize {
        self.came.count(self.stage)
    }

    fn rows(&self) -> Option<usize> {
        None
    }

    fn read(
        &self,
        part: usize,
        columns: &[usize],
        each: &mut dyn FnMut(RecordBatch) -> Result<bool>,
    ) -> Result<()> {
        let mut batches = vec![];
        for root in 0..self.came.roots(self.stage) {
            batches.extend(rows_of(self.came.piece(self.stage, root, part)?, &self.with_numbers)?);
        }
        let mut order: Vec<(u64, u32, u32)> = vec![];
        for (k, rows) in batches.iter().enumerate() {
            let numbers = rows.column(self.at).as_primitive::<UInt64Type>();
            if numbers.null_count() > 0 {
                return Err(bad("rows without a number"));
            }
            order.extend(numbers.values().iter().zip(0u32..).map(|(&n, i)| (n, k as u32, i)));
        }
        // the partners of a row are in one range, in their order; fast where there are ordered runs in it, as here
        order.sort_by_key(|o| o.0);
        let taken: Vec<usize> = columns.iter().map(|&c| c + usize::from(c >= self.at)).collect();
        let batches = batches.iter().map(|b| project(b, &taken)).collect::<Result<Vec<_>>>()?;
        let sources: Vec<&RecordBatch> = batches.iter().collect();
        for some in order.chunks(PIECE) {
            let at: Vec<(usize, usize)> = some.iter().map(|&(_, b, i)| (b as usize, i as usize)).collect();
            let rows = match taken.is_empty() {
                true => super::evaluate::batch(sources[0].schema_ref(), vec![], at.len())?,
                false => interleave_record_batch(&sources, &at).map_err(internal)?,
            };
            if !each(rows)? {
                break;
            }
        }
        Ok(())
    }

    fn read_bytes(&self, _columns: &[usize]) -> usize {
        // what came, the order of its rows, and the batch that is made
        1 + 3 * self.bytes
    }
}
