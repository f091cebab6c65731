//! Instruction sets: which there are, and how a loop is compiled for each.

use super::vectors::{Tile, Wide};
use crate::math::Fma;
use std::sync::OnceLock;

/// An instruction set that the tile functions are compiled for. Ordered: a later one includes the earlier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Isa {
    /// What the compilation target has (SSE2 on x86-64, NEON on AArch64).
    Portable,
    /// AVX2, FMA, F16C, BMI: x86-64-v3.
    Avx2,
    /// AVX-512 F, BW, CD, DQ, VL: x86-64-v4.
    Avx512,
}

impl Isa {
    /// The best instruction set of this CPU, or a lower one that the environment variable `BLOCKWISE_ISA` names
    /// (`portable`, `avx2` or `avx512`).
    pub fn detect() -> Isa {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| {
            let best = Isa::of_cpu();
            let asked = std::env::var("BLOCKWISE_ISA").ok();
            let asked = asked.and_then(|name| Isa::ALL.into_iter().find(|isa| isa.name() == name));
            asked.unwrap_or(best).min(best)
        })
    }

    /// Every instruction set that this CPU has, whatever the environment says.
    pub fn available() -> Vec<Isa> {
        let best = Isa::of_cpu();
        Isa::ALL.into_iter().filter(|isa| *isa <= best).collect()
    }

    /// `"portable"`, `"avx2"` or `"avx512"`.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::Avx512 => "avx512",
        }
    }

    const ALL: [Isa; 3] = [Isa::Portable, Isa::Avx2, Isa::Avx512];

    fn of_cpu() -> Isa {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("f16c") {
            if pulp::x86::V4::try_new().is_some() {
                return Isa::Avx512;
            }
            if pulp::x86::V3::try_new().is_some() {
                return Isa::Avx2;
            }
        }
        Isa::Portable
    }
}

/// What differs between instruction sets beyond what the compiler does by itself.
///
/// # Safety
/// Functions with a level other than [`Portable`] may be called only on a CPU that has it.
pub(super) trait Level {
    /// Its name as a value.
    const ISA: Isa;
    /// How it multiplies and adds.
    type Fma: Fma;
    /// As many rows of two vectors as registers hold beside what they are made of.
    type Tile<W: Wide>: Tile<W>;
    /// One row of two vectors.
    type Row<W: Wide>: Tile<W>;
    /// Converts N halves; N is a multiple of 8 or 1.
    unsafe fn widen<const N: usize>(x: *const u16, out: *mut f32);
    /// Converts N floats, to nearest even; N as above.
    unsafe fn narrow<const N: usize>(x: *const f32, out: *mut u16);
}

/// The baseline of the target.
pub(super) struct Portable;
/// x86-64-v3.
pub(super) struct Avx2;
/// x86-64-v4.
pub(super) struct Avx512;

/// Declares a trait `$Loop` of loops with one signature, and a function `$compile` that picks a loop's instance for an
/// instruction set.
macro_rules! per_isa {
    ($Loop:ident, $compile:ident, unsafe fn($($arg:ident: $T:ty),*)) => {
        pub(super) trait $Loop {
            /// # Safety
            /// See the module of the functions that this becomes.
            unsafe fn run<L: $crate::tile::isa::Level>($($arg: $T),*);
        }

        pub(super) fn $compile<K: $Loop>(isa: $crate::tile::Isa) -> unsafe fn($($arg: $T),*) {
            use $crate::tile::{isa, Isa};

            unsafe fn portable<K: $Loop>($($arg: $T),*) {
                // SAFETY: the caller keeps the contract of the loop.
                unsafe { K::run::<isa::Portable>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt,movbe")]
            unsafe fn avx2<K: $Loop>($($arg: $T),*) {
                // SAFETY: as above, and the CPU has these features.
                unsafe { K::run::<isa::Avx2>($($arg),*) }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt")]
            unsafe fn avx512<K: $Loop>($($arg: $T),*) {
                // SAFETY: as above, and the CPU has these features.
                unsafe { K::run::<isa::Avx512>($($arg),*) }
            }

            match isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512 => avx512::<K>,
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => avx2::<K>,
                _ => portable::<K>,
            }
        }
    };
}
pub(super) use per_isa;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_detected_set_is_available() {
        assert!(Isa::available().contains(&Isa::detect()));
        assert_eq!(Isa::available()[0], Isa::Portable);
    }
}
