//! A table that keys of one word index: no hash, no comparison.
//!
//! The two codes of a word become one index, the second one in the low bits. Codes are small where columns have few values, or where they are
//! dictionaries; the table is no larger than a few times the number of keys, and keys that would make it larger are not in it.

use super::NONE;

/// Keys below this place are in the table, as far as that is not much larger than the number of keys.
const MOST: u64 = 1 << 20;

/// Numbers of keys by their place.
#[derive(Default)]
pub struct Direct {
    slots: Vec<u32>,
    /// Bits that second codes have.
    bits: u32,
    /// First codes are smaller.
    firsts: u64,
}

impl Direct {
    /// Bytes that it takes.
    pub fn nbytes(&self) -> usize {
        4 * self.slots.capacity()
    }

    /// The number of a key, `NONE` if there is no such key; nothing if it would have no place here.
    #[inline(always)]
    pub fn get(&self, key: u64) -> Option<u32> {
        self.slots.get(place(key, self.bits)).copied()
    }

    /// Where a key's number is, if it has a place.
    #[inline(always)]
    pub fn slot(&mut self, key: u64) -> Option<&mut u32> {
        self.slots.get_mut(place(key, self.bits))
    }

    /// Makes room for a key, if there are enough of the `keys` for that to be worth it.
    pub fn widen(&mut self, key: u64, keys: &[u64]) {
        let bits = self.bits.max(u64::BITS - (key >> 32).leading_zeros());
        let firsts = self.firsts.max((key & FIRST) + 1);
        let roomy = (16 * keys.len() as u64).clamp(1 << 16, MOST);
        if place(key, self.bits) < self.slots.len() || bits > 20 || firsts << bits > roomy {
            return;
        }
        let len = ((firsts << bits) as usize).next_power_of_two().max(1024);
        (self.bits, self.firsts) = (bits, len as u64 >> bits);
        self.slots.clear();
        self.slots.resize(len, NONE);
        // also those that were hashed while the table was smaller
        for (number, &key) in keys.iter().enumerate() {
            if let Some(slot) = self.slot(key) {
                *slot = number as u32;
            }
        }
    }
}

/// The bits of a key's first code.
const FIRST: u64 = u32::MAX as u64;

/// A key's place in a table for second codes of so many bits.
#[inline(always)]
fn place(key: u64, bits: u32) -> usize {
    if key >> 32 >> bits == 0 { ((key & FIRST) << bits | key >> 32) as usize } else { usize::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys come in an order that makes the table grow in both directions; each is found under its number, others are not.
    #[test]
    fn keys_are_found_however_the_table_grew() {
        for (most_a, most_b) in [(5000, 1), (300, 200), (3, 60_000), (1, 1), (70_000, 70_000)] {
            let (mut direct, mut keys) = (Direct::default(), vec![]);
            for i in 0..40_000u64 {
                let key = (i * 7919 % most_a) | (i * 104_729 % most_b) << 32;
                if direct.get(key).is_none_or(|n| n == NONE) && !keys.contains(&key) {
                    if keys.len() > 3000 {
                        break;
                    }
                    direct.widen(key, &keys);
                    if let Some(slot) = direct.slot(key) {
                        *slot = keys.len() as u32;
                    }
                    keys.push(key);
                }
            }
            for (number, &key) in keys.iter().enumerate() {
                match direct.get(key) {
                    Some(found) => assert_eq!(found, number as u32, "{key:x}"),
                    None => assert!(most_a * most_b > 1 << 15, "{key:x} of {most_a} x {most_b} has no place"),
                }
            }
            assert!(direct.get(most_a | most_b << 32).is_none_or(|n| n == NONE));
            assert!(direct.nbytes() <= 4 * 2 * (16 * keys.len()).max(1 << 16));
        }
    }
}
