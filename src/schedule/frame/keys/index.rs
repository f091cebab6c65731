//! Rows by key: what the kept side of a join is looked up in.
//!
//! Codes that are dense index a table. Other keys are cut by their hash into parts that fit a cache, which are built side by side; an entry
//! holds a key of one word itself. If only one row has a key, that row is in the table: looking it up costs one visit to memory.

use super::super::super::workers::side_by_side;
use super::column::{FOREIGN, KeyColumn, KeyColumnView};
use super::intern::mix_all;
use super::words_of;
use crate::error::Result;
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry::{Occupied, Vacant};
use std::sync::Mutex;

/// Rows of a part, about.
const PART: usize = 1 << 15;
const MOST_PARTS: usize = 256;

/// The rows of every key.
pub(in super::super) struct Index {
    columns: Vec<KeyColumn>,
    /// Words of a key: two codes each.
    words: usize,
    /// By code, if there is one column and its codes are dense. Else empty.
    direct: Vec<Found>,
    /// Entries by parts of the hashes.
    parts: Vec<HashTable<Entry>>,
    /// The rows of keys that several have, one key's after the other's, each's in order. Empty if there is no such key.
    rows: Vec<u32>,
    /// The words of every row's key, if they are more than one.
    keys: Vec<u64>,
}

/// A key and its rows.
#[derive(Clone, Copy)]
struct Entry {
    /// The key's word if it has only one, else its hash.
    tag: u64,
    of: Found,
}

/// The rows of a key: none, one, or some of [`Index::rows`].
#[derive(Clone, Copy, Default)]
pub(in super::super) struct Found {
    /// The row if it is one, else the place of the first of them.
    pub at: u32,
    pub count: u32,
}

impl Index {
    /// Of rows with these keys, on a few threads. Rows whose key has a null are not in it.
    pub fn new(
        types: impl IntoIterator<Item = DataType>,
        arrays: &[ArrayRef],
        threads: usize,
    ) -> Result<Index> {
        let mut columns = types.into_iter().map(|t| KeyColumn::new(&t)).collect::<Result<Vec<_>>>()?;
        for (column, array) in columns.iter_mut().zip(arrays) {
            column.encode(array)?;
        }
        let codes: Vec<Vec<u32>> = columns.iter_mut().map(|c| std::mem::take(&mut c.codes)).collect();
        let n = arrays.first().map_or(0, |a| a.len());
        let words = codes.len().div_ceil(2);
        let (direct, parts, rows, keys) = (vec![], vec![], vec![], vec![]);
        let mut index = Index { columns, words, direct, parts, rows, keys };
        if let [codes] = codes.as_slice() {
            let last = codes.iter().max().map_or(0, |&c| c as usize);
            if last < (2 * n).max(1 << 16) {
                index.by_code(codes, last);
                return Ok(index);
            }
        }
        let parts = (n / PART).clamp(1, MOST_PARTS).next_power_of_two();
        // the tags of rows, and how many are of each part
        let mut tags: Vec<u64> = Vec::with_capacity(n);
        let mut ends = vec![0usize; parts + 1];
        let mut key = vec![];
        let part_of = |hash: u64| (hash >> 40) as usize & (parts - 1);
        for i in 0..n {
            key.clear();
            key.extend(words_of(&codes, i));
            let tag = index.tag(&key);
            tags.push(tag);
            ends[part_of(index.hash(tag)) + 1] += usize::from(codes.iter().all(|c| c[i] != 0));
            if words > 1 {
                index.keys.extend_from_slice(&key);
            }
        }
        (0..parts).for_each(|p| ends[p + 1] += ends[p]);
        // by part, in order
        let mut next = ends.clone();
        let mut rows = vec![(0u64, 0u32); ends[parts]];
        for (i, &tag) in tags.iter().enumerate() {
            if codes.iter().all(|c| c[i] != 0) {
                let at = &mut next[part_of(index.hash(tag))];
                rows[*at] = (tag, i as u32);
                *at += 1;
            }
        }
        drop((tags, codes));
        let mut left = rows.as_mut_slice();
        let mut pieces = vec![];
        for p in 0..parts {
            let (piece, rest) = left.split_at_mut(ends[p + 1] - ends[p]);
            left = rest;
            pieces.push((ends[p], Mutex::new(piece)));
        }
        let built = side_by_side(threads, &pieces, |(first, piece)| {
            index.part(*first, &mut piece.lock().unwrap_or_else(|e| e.into_inner()))
        });
        let unique = built.iter().all(|(_, unique)| *unique);
        index.parts = built.into_iter().map(|(table, _)| table).collect();
        if !unique {
            index.rows = rows.iter().map(|(_, row)| *row).collect();
        }
        Ok(index)
    }

    /// Fills the table of codes up to this one.
    fn by_code(&mut self, codes: &[u32], last: usize) {
        let mut table = vec![Found::default(); last + 1];
        let mut unique = true;
        for (row, &code) in codes.iter().enumerate().filter(|(_, code)| **code != 0) {
            let found = &mut table[code as usize];
            (found.at, found.count) = (row as u32, found.count + 1);
            unique &= found.count == 1;
        }
        if !unique {
            let mut end = 0;
            for found in table.iter_mut().filter(|f| f.count > 1) {
                (found.at, end) = (end, end + found.count);
            }
            self.rows = vec![0; end as usize];
            // places move on as rows are put there
            for (row, &code) in codes.iter().enumerate() {
                let found = &mut table[code as usize];
                if found.count > 1 {
                    self.rows[found.at as usize] = row as u32;
                    found.at += 1;
                }
            }
            table.iter_mut().filter(|f| f.count > 1).for_each(|f| f.at -= f.count);
        }
        self.direct = table;
    }

    /// The entries of some rows, which are put in the order of keys; and whether all keys differ. The rows' places begin at `first`.
    fn part(&self, first: usize, rows: &mut [(u64, u32)]) -> (HashTable<Entry>, bool) {
        let mut table: HashTable<Entry> = HashTable::with_capacity(rows.len() / 4);
        // the number of every row's key, and the first row of every key
        let mut numbers: Vec<u32> = Vec::with_capacity(rows.len());
        let mut firsts: Vec<u32> = vec![];
        for &(tag, row) in rows.iter() {
            let same = |e: &Entry| {
                e.tag == tag && (self.words == 1 || self.key(firsts[e.of.at as usize]) == self.key(row))
            };
            match table.entry(self.hash(tag), same, |e| self.hash(e.tag)) {
                Occupied(mut e) => {
                    e.get_mut().of.count += 1;
                    numbers.push(e.get().of.at);
                }
                Vacant(e) => {
                    let at = firsts.len() as u32;
                    e.insert(Entry { tag, of: Found { at, count: 1 } });
                    numbers.push(at);
                    firsts.push(row);
                }
            }
        }
        let unique = firsts.len() == rows.len();
        let mut ends = vec![0u32; firsts.len()];
        if !unique {
            table.iter().for_each(|e| ends[e.of.at as usize] = e.of.count);
            let mut end = 0;
            for e in &mut ends {
                end += *e;
                *e = end - *e;
            }
            let mut next = ends.clone();
            let unsorted = rows.to_vec();
            for (row, &number) in unsorted.into_iter().zip(&numbers) {
                rows[next[number as usize] as usize] = row;
                next[number as usize] += 1;
            }
        }
        for e in table.iter_mut() {
            e.of.at = match e.of.count {
                1 => firsts[e.of.at as usize],
                _ => first as u32 + ends[e.of.at as usize],
            };
        }
        (table, unique)
    }

    /// The rows of every row's key: none of a key with a null.
    pub fn find(&self, encoder: &mut Encoder, arrays: &[ArrayRef], found: &mut Vec<Found>) -> Result<()> {
        let codes = encoder.encode(&self.columns, arrays)?;
        let known = |code: u32| code != 0 && code != FOREIGN;
        found.clear();
        match codes {
            // nothing has code 0 or none that is unknown
            [a] if !self.direct.is_empty() => {
                found.extend(a.iter().map(|&a| self.direct.get(a as usize).copied().unwrap_or_default()));
            }
            [a] => found.extend(a.iter().map(|&a| self.get(known(a), &[u64::from(a)]))),
            _ => {
                let mut key = Vec::with_capacity(self.words);
                for i in 0..arrays.first().map_or(0, |a| a.len()) {
                    key.clear();
                    key.extend(words_of(codes, i));
                    found.push(self.get(codes.iter().all(|c| known(c[i])), &key));
                }
            }
        }
        Ok(())
    }

    #[inline]
    fn get(&self, known: bool, key: &[u64]) -> Found {
        let tag = self.tag(key);
        let hash = self.hash(tag);
        let same = |e: &Entry| e.tag == tag && (self.words == 1 || self.key(self.rows(&e.of)[0]) == key);
        match self.parts.get((hash >> 40) as usize & self.parts.len().wrapping_sub(1)) {
            Some(part) if known => part.find(hash, same).map_or(Found::default(), |e| e.of),
            _ => Found::default(),
        }
    }

    /// Whether every key has one row.
    pub fn is_unique(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows, in order.
    #[inline]
    pub fn rows<'a>(&'a self, found: &'a Found) -> &'a [u32] {
        match found.count {
            0 => &[],
            1 => std::slice::from_ref(&found.at),
            n => &self.rows[found.at as usize..][..n as usize],
        }
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|c| c.interner.nbytes()).sum();
        let entries: usize = self.parts.iter().map(|p| (size_of::<Entry>() + 1) * p.capacity()).sum();
        columns + entries + 8 * self.direct.capacity() + 4 * self.rows.capacity() + 8 * self.keys.capacity()
    }

    fn key(&self, row: u32) -> &[u64] {
        &self.keys[row as usize * self.words..][..self.words]
    }

    #[inline]
    fn tag(&self, key: &[u64]) -> u64 {
        match key {
            [word] => *word,
            key => mix_all(key),
        }
    }

    #[inline]
    fn hash(&self, tag: u64) -> u64 {
        if self.words == 1 { mix_all(&[tag]) } else { tag }
    }
}

/// What a thread needs to look keys up.
#[derive(Default)]
pub(in super::super) struct Encoder {
    columns: Vec<KeyColumnView>,
    codes: Vec<Vec<u32>>,
}

impl Encoder {
    /// The codes of keys by columns that have them already; `FOREIGN` for values that those have not.
    fn encode(&mut self, columns: &[KeyColumn], arrays: &[ArrayRef]) -> Result<&[Vec<u32>]> {
        self.columns.resize_with(columns.len(), KeyColumnView::default);
        self.codes.clear();
        for ((column, view), array) in columns.iter().zip(&mut self.columns).zip(arrays) {
            self.codes.push(column.look_up(view, array)?);
        }
        Ok(&self.codes)
    }
}
