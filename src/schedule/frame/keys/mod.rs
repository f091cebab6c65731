//! Keys of rows as numbers: what groups, joins and distinct rows have in common.
//!
//! Every key column becomes 32-bit codes: null is 0, a small number `v` is `v + 1`, and everything else (text, negative or large
//! numbers, floats) is numbered in order of first appearance by an [`Interner`]. A row's key is then a few words, whatever the
//! columns are, and two rows are equal if their words are. A dictionary is interned once, not per row.

mod column;
mod direct;
mod hashes;
mod index;
mod intern;

use crate::error::Result;
use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use column::{Coding, KeyColumn};
pub(super) use column::{content_hashes, one_dictionary};
use direct::Direct;
use hashbrown::HashTable;
pub(crate) use hashes::HASHES;
pub(super) use index::{Encoder, Found, Index};
pub(super) use intern::Mixer;
use intern::{mix, mix_all};

/// Codes from here on are interned.
const INTERNED: u32 = 1 << 31;
/// The number of a key that is not there.
const NONE: u32 = u32::MAX;

/// Different keys of rows, numbered in order of first appearance.
pub(super) struct Keys {
    columns: Vec<KeyColumn>,
    /// Words of a key: two codes each.
    words: usize,
    /// Hashes and numbers of keys.
    table: HashTable<(u32, u32)>,
    /// Of keys of one word those that are small, unless such keys are no more likely than others.
    direct: Direct,
    is_dense: bool,
    /// The keys, `words` each.
    keys: Vec<u64>,
    count: usize,
    row: Vec<u64>,
}

impl Keys {
    /// Of columns of these types.
    pub fn new(types: impl IntoIterator<Item = DataType>) -> Result<Keys> {
        let columns = types.into_iter().map(|t| KeyColumn::new(&t)).collect::<Result<Vec<_>>>()?;
        let words = columns.len().div_ceil(2);
        Ok(Keys {
            columns,
            words,
            table: HashTable::new(),
            direct: Direct::default(),
            is_dense: true,
            keys: vec![],
            count: 0,
            row: vec![],
        })
    }

    /// No keys yet, of the same columns; numbers of dictionary values are shared.
    pub fn sibling(&self) -> Keys {
        let columns = self.columns.iter().map(KeyColumn::sibling).collect();
        let (table, words, is_dense) = (HashTable::new(), self.words, self.is_dense);
        Keys {
            columns,
            words,
            table,
            direct: Direct::default(),
            is_dense,
            keys: vec![],
            count: 0,
            row: vec![],
        }
    }

    /// The same for few of many keys, of which small ones are not dense.
    pub fn sparse_sibling(&self) -> Keys {
        Keys { is_dense: false, ..self.sibling() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        let columns: usize = self.columns.iter().map(|c| c.interner.nbytes() + 4 * c.codes.capacity()).sum();
        columns + 9 * self.table.capacity() + self.direct.nbytes() + 8 * self.keys.capacity()
    }

    /// The number of every row's key, new ones added.
    pub fn number(&mut self, columns: &[ArrayRef], slots: &mut [u32]) -> Result<()> {
        self.take(columns, slots, true)
    }

    /// Numbers every row's key without looking whether it is there: for keys that hardly ever come twice. They are told apart when they
    /// are merged into others.
    pub fn append(&mut self, columns: &[ArrayRef], slots: &mut [u32]) -> Result<()> {
        self.take(columns, slots, false)
    }

    fn take(&mut self, columns: &[ArrayRef], slots: &mut [u32], distinct: bool) -> Result<()> {
        for (column, array) in self.columns.iter_mut().zip(columns) {
            column.encode(array)?;
        }
        if self.words == 0 {
            slots.fill(0);
            self.count = self.count.max(usize::from(!slots.is_empty()));
            return Ok(());
        }
        // codes are borrowed while keys are added
        let codes: Vec<Vec<u32>> = self.columns.iter_mut().map(|c| std::mem::take(&mut c.codes)).collect();
        match distinct {
            true => self.insert_all(&codes, slots),
            false => {
                for (i, slot) in slots.iter_mut().enumerate() {
                    *slot = (self.count + i) as u32;
                    self.keys.extend(words_of(&codes, i));
                }
                self.count += slots.len();
            }
        }
        for (column, codes) in self.columns.iter_mut().zip(codes) {
            column.codes = codes;
        }
        Ok(())
    }

    /// The numbers here of some of another's keys, new ones added, in their order.
    pub fn merge(&mut self, other: &Keys, numbers: &[u32]) -> Vec<u32> {
        if self.words == 0 {
            self.count = self.count.max(other.count);
            return vec![0; numbers.len()];
        }
        let columns: Vec<Vec<u32>> = self
            .columns
            .iter_mut()
            .zip(&other.columns)
            .enumerate()
            .map(|(c, (column, from))| {
                let codes = numbers.iter().map(|&n| other.code(n, c)).collect();
                column.translate(from, codes)
            })
            .collect();
        self.table.reserve(if self.words > 1 { numbers.len() } else { 0 }, |&(h, _)| spread(h));
        let mut slots = vec![0; numbers.len()];
        self.insert_all(&columns, &mut slots);
        slots
    }

    /// The number of every row's key, given the codes of its columns; new ones added.
    fn insert_all(&mut self, codes: &[Vec<u32>], slots: &mut [u32]) {
        match codes {
            [a] => slots.iter_mut().zip(a).for_each(|(s, &a)| *s = self.word(u64::from(a))),
            [a, b] => {
                slots.iter_mut().zip(a.iter().zip(b)).for_each(|(s, (&a, &b))| *s = self.word(pair(a, b)));
            }
            many => {
                for (i, slot) in slots.iter_mut().enumerate() {
                    self.row.clear();
                    self.row.extend(words_of(many, i));
                    *slot = self.insert();
                }
            }
        }
    }

    /// The code of a column in a key.
    #[inline]
    fn code(&self, number: u32, column: usize) -> u32 {
        (self.keys[number as usize * self.words + column / 2] >> (32 * (column % 2))) as u32
    }

    /// The numbers of the keys by a hash of what they stand for, which is the same in all siblings: `parts` lists, each in order.
    pub fn partition(&self, parts: usize) -> Vec<Vec<u32>> {
        // column by column: interned text and numbers by their content, which their codes do not show
        let mut hashes = vec![0u64; self.count];
        for (c, column) in self.columns.iter().enumerate() {
            let content = column.content();
            let first = if column.coding == Coding::Text { 1 } else { INTERNED };
            for (number, h) in hashes.iter_mut().enumerate() {
                let code = self.code(number as u32, c);
                let word = code.checked_sub(first).map_or(u64::from(code), |k| content[k as usize]);
                *h = mix(h.rotate_left(23) ^ word);
            }
        }
        let mut lists = vec![Vec::with_capacity(self.count / parts + 16); parts];
        for (number, h) in hashes.into_iter().enumerate() {
            lists[(h >> 32) as usize % parts].push(number as u32);
        }
        lists
    }

    /// The columns of the keys, in order of their numbers.
    pub fn columns(&self) -> Result<Vec<ArrayRef>> {
        self.columns_of(0..self.count as u32)
    }

    /// The columns of some keys.
    pub fn columns_of(&self, numbers: impl Iterator<Item = u32> + Clone) -> Result<Vec<ArrayRef>> {
        let of = |(c, column): (usize, &KeyColumn)| {
            let codes: Vec<u32> = numbers.clone().map(|n| self.code(n, c)).collect();
            column.decode(&codes)
        };
        self.columns.iter().enumerate().map(of).collect()
    }

    /// The number of a key of one word.
    #[inline]
    fn word(&mut self, key: u64) -> u32 {
        match self.direct.get(key) {
            Some(slot) if slot != NONE => slot,
            _ => self.word_slow(key),
        }
    }

    fn word_slow(&mut self, key: u64) -> u32 {
        if self.is_dense {
            self.direct.widen(key, &self.keys);
            if let Some(slot) = self.direct.slot(key) {
                if *slot == NONE {
                    *slot = self.count as u32;
                    self.keys.push(key);
                    self.count += 1;
                }
                return *slot;
            }
        }
        self.hashed(hash(&[key]), |keys, n| keys[n] == key, |keys| keys.push(key))
    }

    /// The number of the key in `self.row`.
    fn insert(&mut self) -> u32 {
        let (row, words) = (std::mem::take(&mut self.row), self.words);
        let same = |keys: &[u64], n: usize| keys[n * words..][..words] == row[..];
        let number = self.hashed(hash(&row), same, |keys| keys.extend_from_slice(&row));
        self.row = row;
        number
    }

    /// The number of a key by the hash table.
    #[inline]
    fn hashed(
        &mut self,
        hash: u32,
        same: impl Fn(&[u64], usize) -> bool,
        add: impl FnOnce(&mut Vec<u64>),
    ) -> u32 {
        let keys = &mut self.keys;
        let found = |&(h, n): &(u32, u32)| h == hash && same(keys, n as usize);
        match self.table.entry(spread(hash), found, |&(h, _)| spread(h)) {
            hashbrown::hash_table::Entry::Occupied(e) => e.get().1,
            hashbrown::hash_table::Entry::Vacant(e) => {
                let number = self.count as u32;
                e.insert((hash, number));
                add(keys);
                self.count += 1;
                number
            }
        }
    }
}

/// The hash of a key that is kept beside its number, so that a growing table need not look at keys.
fn hash(key: &[u64]) -> u32 {
    (mix_all(key) >> 32) as u32
}

/// The bits that the table goes by: it takes the place from low ones and a tag from high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

fn pair(a: u32, b: u32) -> u64 {
    u64::from(a) | u64::from(b) << 32
}

/// The words of row `i`'s key.
fn words_of(codes: &[Vec<u32>], i: usize) -> impl Iterator<Item = u64> + '_ {
    codes.chunks(2).map(move |two| pair(two[0][i], two.get(1).map_or(0, |b| b[i])))
}
