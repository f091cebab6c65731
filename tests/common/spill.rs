//! Sessions that keep little in memory, and a comparison of what they give.
#![allow(dead_code, reason = "every test uses some of it")]

use blockwise::Session;
use blockwise::frame::arrow::array::ArrayRef;
use blockwise::frame::arrow::compute::cast;
use blockwise::frame::{DataFrame, DataType, RecordBatch};
use std::sync::OnceLock;

/// Sessions of 1 and 3 threads that keep this many bytes of rows in memory.
pub fn sessions() -> &'static [Session] {
    static ALL: OnceLock<Vec<Session>> = OnceLock::new();
    ALL.get_or_init(|| {
        let session = |threads, bytes: u64| {
            Session::builder().threads(threads).spill_above(bytes).memory_limit("256MiB").build().unwrap()
        };
        vec![session(1, 1 << 30), session(1, 0), session(3, 0), session(3, 40_000), session(2, 400_000)]
    })
}

/// Numbers that look random, from a seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = self.0 ^ (self.0 >> 33);
        x.wrapping_mul(0xff51afd7ed558ccd) >> 11
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// A value, or null one time in `of`.
    pub fn some<T>(&mut self, of: u64, f: impl FnOnce(&mut Random) -> T) -> Option<T> {
        if self.below(of) == 0 { None } else { Some(f(self)) }
    }
}

/// The same rows whatever is on disk; whether something was.
pub fn same(df: &DataFrame) -> bool {
    let mut spilled = false;
    let want = df.collect_with(&sessions()[0]).unwrap().to_batch().unwrap();
    for session in &sessions()[1..] {
        let got = df.collect_with(session).unwrap().to_batch().unwrap();
        // values to the bit: their text would leave out the middle
        let (a, b) = (plain(&want), plain(&got));
        assert!(a == b, "{df:?}\n{a:?}\n{b:?}");
        spilled |= session.last_summary().unwrap().bytes_spilled > 0;
    }
    spilled
}

/// Dictionaries as text: which numbers their values have is no part of a result.
pub fn plain(rows: &RecordBatch) -> Vec<(String, ArrayRef)> {
    let text = |c: &ArrayRef| match c.data_type() {
        DataType::Dictionary(..) => cast(c, &DataType::Utf8).unwrap(),
        _ => c.clone(),
    };
    let names = rows.schema().fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>();
    names.into_iter().zip(rows.columns().iter().map(text)).collect()
}
