//! Values numbered in order of first appearance, and the hashes behind that.

use super::column::{FOREIGN, internal, too_many};
use crate::error::Result;
use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use hashbrown::HashTable;

/// Well mixed bits of a number.
pub fn mix(x: u64) -> u64 {
    let wide = u128::from(x ^ 0x9e37_79b9_7f4a_7c15) * u128::from(0xa076_1d64_78bd_642f_u64);
    (wide as u64) ^ (wide >> 64) as u64
}

pub fn mix_all(words: &[u64]) -> u64 {
    words.iter().fold(0, |h, &w| mix(h.rotate_left(23) ^ w))
}

pub fn mix_bytes(bytes: &[u8]) -> u64 {
    let mut words = bytes.chunks_exact(8);
    let mut h = bytes.len() as u64;
    for w in &mut words {
        h = mix(h.rotate_left(23) ^ u64::from_le_bytes([w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]));
    }
    let mut last = [0u8; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    mix(h.rotate_left(23) ^ u64::from_le_bytes(last))
}

/// Values of one column, numbered in order of first appearance.
#[derive(Default)]
pub struct Interner {
    table: HashTable<u32>,
    /// Values that are numbers.
    pub numbers: Vec<u64>,
    /// Values that are text: one after the other, and where each ends.
    pub text: Vec<u8>,
    pub ends: Vec<usize>,
}

impl Interner {
    pub fn number(&mut self, value: u64) -> u32 {
        let numbers = &mut self.numbers;
        let found =
            self.table.entry(mix(value), |&c| numbers[c as usize] == value, |&c| mix(numbers[c as usize]));
        match found {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let code = numbers.len() as u32;
                e.insert(code);
                numbers.push(value);
                code
            }
        }
    }

    pub fn text_of<'a>(text: &'a [u8], ends: &[usize], code: u32) -> &'a [u8] {
        let start = if code == 0 { 0 } else { ends[code as usize - 1] };
        &text[start..ends[code as usize]]
    }

    pub fn bytes(&mut self, value: &[u8]) -> u32 {
        let (text, ends) = (&mut self.text, &mut self.ends);
        let of = |c: &u32| Interner::text_of(text, ends, *c);
        match self.table.entry(mix_bytes(value), |c| of(c) == value, |c| mix_bytes(of(c))) {
            hashbrown::hash_table::Entry::Occupied(e) => *e.get(),
            hashbrown::hash_table::Entry::Vacant(e) => {
                let code = ends.len() as u32;
                e.insert(code);
                text.extend_from_slice(value);
                ends.push(text.len());
                code
            }
        }
    }

    /// The codes of texts: 0 for null, else one more than the number.
    pub fn texts(&mut self, array: &ArrayRef, codes: &mut Vec<u32>) -> Result<()> {
        let array = cast(array, &DataType::LargeUtf8).map_err(internal)?;
        codes.extend(array.as_string::<i64>().iter().map(|v| v.map_or(0, |v| self.bytes(v.as_bytes()) + 1)));
        if self.len() >= FOREIGN as usize - 1 { Err(too_many()) } else { Ok(()) }
    }

    pub fn find_number(&self, value: u64) -> Option<u32> {
        self.table.find(mix(value), |&c| self.numbers[c as usize] == value).copied()
    }

    pub fn find_bytes(&self, value: &[u8]) -> Option<u32> {
        let of = |c: &u32| Interner::text_of(&self.text, &self.ends, *c);
        self.table.find(mix_bytes(value), |c| of(c) == value).copied()
    }

    pub fn len(&self) -> usize {
        self.numbers.len().max(self.ends.len())
    }

    pub fn nbytes(&self) -> usize {
        8 * self.numbers.capacity()
            + self.text.capacity()
            + 8 * self.ends.capacity()
            + 5 * self.table.capacity()
    }
}

/// Hashes codes.
#[derive(Clone, Copy, Default)]
pub struct Mixer;

impl std::hash::BuildHasher for Mixer {
    type Hasher = MixHasher;
    fn build_hasher(&self) -> MixHasher {
        MixHasher(0)
    }
}

pub struct MixHasher(u64);

impl std::hash::Hasher for MixHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = mix(self.0 ^ mix_bytes(bytes));
    }
    fn write_u32(&mut self, x: u32) {
        self.0 = mix(u64::from(x));
    }
}
