//! Joins: one side kept whole with a table of its keys, the other looked up batch by batch.

use super::super::cache::KernelCache;
use super::evaluate::{batch, evaluate, internal};
use super::keys::{Encoder, Keys, NONE};
use crate::block::batch::batch_bytes;
use crate::error::{ErrorKind, Result};
use crate::expr::frame::JoinKind;
use crate::plan::frame::{Probe, Program};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat_batches, filter_record_batch, take};
use arrow::datatypes::SchemaRef;

/// The kept side of a join.
pub(super) struct JoinTable {
    rows: RecordBatch,
    keys: Keys,
    /// Rows by key: those of key `k` are `by_key[ends[k - 1]..ends[k]]`, in order.
    by_key: Vec<u32>,
    ends: Vec<u32>,
}

/// The most pairs handed on at once.
const PAIRS: usize = 1 << 16;

impl JoinTable {
    /// Keeps rows, with the keys that a program makes of them. Rows whose key has a null have no partner.
    pub fn build(
        program: &Program,
        rows: &[RecordBatch],
        schema: &SchemaRef,
        kernels: &KernelCache,
    ) -> Result<JoinTable> {
        let rows = concat_batches(schema, rows).map_err(internal)?;
        if rows.num_rows() > u32::MAX as usize - 1 {
            return Err(ErrorKind::Unsupported {
                what: "a join whose smaller side has more than 2^32 rows".into(),
                hint: "filter it, or join in parts".into(),
            }
            .into());
        }
        let columns = evaluate(program, &rows, kernels)?;
        let mut keys = Keys::new(program.outputs.iter().map(|(_, t)| t.clone()))?;
        let mut slots = vec![0u32; rows.num_rows()];
        if !columns.is_empty() {
            keys.number(&columns, &mut slots)?;
        }
        // a counting sort by key keeps the rows of a key in order
        let groups = keys.len();
        let mut ends = vec![0u32; groups + 1];
        for &s in &slots {
            if groups > 0 {
                ends[s as usize + 1] += 1;
            }
        }
        for k in 0..groups {
            ends[k + 1] += ends[k];
        }
        let mut next = ends.clone();
        let mut by_key = vec![0u32; if groups > 0 { slots.len() } else { 0 }];
        for (row, &s) in slots.iter().enumerate().take(by_key.len()) {
            by_key[next[s as usize] as usize] = row as u32;
            next[s as usize] += 1;
        }
        Ok(JoinTable { rows, keys, by_key, ends })
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        batch_bytes(&self.rows) + self.keys.nbytes() + 4 * (self.by_key.len() + self.ends.len())
    }

    fn partners(&self, key: u32) -> &[u32] {
        match key {
            NONE => &[],
            k => &self.by_key[self.ends[k as usize] as usize..self.ends[k as usize + 1] as usize],
        }
    }

    /// Hands on the rows that a batch makes, in the batch's order, in pieces.
    pub fn probe(
        &self,
        probe: &Probe,
        left: &RecordBatch,
        encoder: &mut Encoder,
        kernels: &KernelCache,
        next: &mut dyn FnMut(RecordBatch) -> Result<()>,
    ) -> Result<()> {
        let mut keys = vec![];
        if probe.kind != JoinKind::Cross {
            let columns = evaluate(&probe.keys, left, kernels)?;
            self.keys.find(encoder, &columns, &mut keys)?;
        }
        if matches!(probe.kind, JoinKind::Semi | JoinKind::Anti) {
            let wanted = probe.kind == JoinKind::Semi;
            let mask: BooleanArray = keys.iter().map(|&k| Some((k != NONE) == wanted)).collect();
            return next(filter_record_batch(left, &mask).map_err(internal)?);
        }
        let everything: Vec<u32> = match probe.kind {
            JoinKind::Cross => (0..self.rows.num_rows() as u32).collect(),
            _ => vec![],
        };
        let (mut at_left, mut at_right): (Vec<u32>, Vec<Option<u32>>) = (vec![], vec![]);
        for row in 0..left.num_rows() {
            let partners = match keys.get(row) {
                Some(&key) => self.partners(key),
                None => everything.as_slice(),
            };
            for some in partners.chunks(PAIRS) {
                at_left.extend(std::iter::repeat_n(row as u32, some.len()));
                at_right.extend(some.iter().copied().map(Some));
                if at_left.len() >= PAIRS {
                    next(self.pairs(probe, left, &mut at_left, &mut at_right)?)?;
                }
            }
            if partners.is_empty() && probe.kind == JoinKind::Left {
                at_left.push(row as u32);
                at_right.push(None);
            }
        }
        if at_left.is_empty() {
            Ok(())
        } else {
            next(self.pairs(probe, left, &mut at_left, &mut at_right)?)
        }
    }

    fn pairs(
        &self,
        probe: &Probe,
        left: &RecordBatch,
        at_left: &mut Vec<u32>,
        at_right: &mut Vec<Option<u32>>,
    ) -> Result<RecordBatch> {
        let rows = at_left.len();
        let same = rows == left.num_rows() && at_left.iter().enumerate().all(|(i, &l)| i as u32 == l);
        let (l, r) =
            (UInt32Array::from(std::mem::take(at_left)), UInt32Array::from(std::mem::take(at_right)));
        let mut columns: Vec<ArrayRef> = vec![];
        for column in left.columns() {
            columns.push(if same { column.clone() } else { take(column, &l, None).map_err(internal)? });
        }
        for &c in &probe.right {
            columns.push(take(self.rows.column(c), &r, None).map_err(internal)?);
        }
        batch(&probe.schema, columns, rows)
    }
}
