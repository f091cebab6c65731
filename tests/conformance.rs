//! Every backend computes what the reference does: every operation on every dtype, and random kernels over random
//! regions and layouts.
//!
//! Exact operations agree to the bit, transcendental ones within 2 units in the last place, float folds within the
//! rounding of their sums, and these have the same bits on every instruction set.

#[path = "conformance/agree.rs"]
mod agree;
#[path = "conformance/case.rs"]
mod case;
#[path = "common/property.rs"]
mod property;
#[path = "conformance/random.rs"]
mod random;
#[path = "conformance/suite.rs"]
mod suite;

#[cfg(feature = "gpu")]
#[path = "common/gpu.rs"]
mod adapter;

use blockwise::backend::Backend;
use blockwise::backend::cpu::Cpu;
use blockwise_kernels::tile::Isa;
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};
use suite::Suite;

/// The CPU: machine code and tiles of every instruction set.
fn cpu() -> Option<Suite> {
    let mut all: Vec<Arc<dyn Backend>> = Vec::new();
    for isa in Isa::available() {
        all.push(Arc::new(Cpu::new(isa)));
        all.push(Arc::new(Cpu::new(isa).with_emitter(false)));
    }
    Some(Suite::new(all, 2, |_| false, 1))
}

#[cfg(feature = "gpu")]
mod on_gpu {
    use super::*;
    use blockwise::backend::gpu::GpuBuilder;
    use blockwise::dtype::DType;
    use blockwise::ir::{Inst, Kernel};
    use blockwise::op::BinaryOp;

    /// Functions of f64, where the adapter's own arithmetic does not do.
    fn refuses(kernel: &Kernel) -> bool {
        let inexact = |inst: &Inst| match *inst {
            Inst::Unary { op, x } => op.is_transcendental() && kernel.dtype(x) == DType::F64,
            Inst::Binary { op, a, .. } => {
                (op.is_transcendental() || op == BinaryOp::Pow) && kernel.dtype(a) == DType::F64
            }
            _ => false,
        };
        kernel.insts().iter().any(inexact)
    }

    /// Software adapters take tens of milliseconds to compile a kernel: `one_in` thins out what is only combined anew.
    fn suite(how: fn(GpuBuilder) -> GpuBuilder, one_in: usize) -> Option<Suite> {
        let gpu = adapter::open(how)?;
        let refuses = if gpu.arithmetic().has_doubles() { |_: &Kernel| false } else { refuses };
        Some(Suite::new(vec![Arc::new(gpu)], 2, refuses, one_in))
    }

    /// All that the adapter offers.
    pub fn all() -> Option<Suite> {
        suite(|gpu| gpu, 12)
    }

    /// All but the adapter's own arithmetic.
    pub fn integers() -> Option<Suite> {
        suite(GpuBuilder::integers_only, 35)
    }

    /// The smallest limits, and so little memory that most launches go in pieces.
    pub fn least() -> Option<Suite> {
        suite(|gpu| gpu.smallest_limits().memory_limit(96 << 10), 35)
    }
}

/// Instantiates the tests for the backends that an expression gives, if it gives any.
macro_rules! conformance {
    ($name:ident: $suite:expr, $cases:expr; $($test:ident)*) => {
        mod $name {
            use super::*;

            $(
                #[test]
                fn $test() {
                    if let Some(suite) = $suite {
                        suite::$test(&suite);
                    }
                }
            )*

            proptest! {
                #![proptest_config(property::cases($cases))]

                #[test]
                fn random_kernels(seed in any::<u64>()) {
                    static SUITE: OnceLock<Option<Suite>> = OnceLock::new();
                    if let Some(suite) = SUITE.get_or_init(|| $suite) {
                        suite::random_kernel(suite, seed);
                    }
                }
            }
        }
    };
    ($name:ident: $suite:expr, $cases:expr) => {
        conformance! { $name: $suite, $cases;
            unary
            binary
            comparisons_selections_and_multiply_add
            casts
            folds_by_group_of_every_dtype
            folds_into_many_groups
            reductions_over_every_subset_of_axes
            products_of_floats
            random_bits
            long_kernels
        }
    };
}

conformance! { on_cpu: cpu(), 1500 }
#[cfg(feature = "gpu")]
conformance! { on_a_gpu: on_gpu::all(), 150 }
#[cfg(feature = "gpu")]
conformance! { on_a_gpu_in_integers: on_gpu::integers(), 60; unary binary comparisons_selections_and_multiply_add random_bits }
#[cfg(feature = "gpu")]
conformance! { on_the_least_gpu: on_gpu::least(), 60; casts folds_by_group_of_every_dtype folds_into_many_groups reductions_over_every_subset_of_axes random_bits }
