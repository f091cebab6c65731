//! The definition of every kernel: a scalar walk of the IR.
