//! Copies between boxes of elements with any strides.

use crate::backend::{Launch, Operand, Output};
use crate::ir::{Kernel, Root};
use crate::shape::Dims;
use smallvec::SmallVec;

/// Strides in bytes of a box whose steps are given in elements.
pub fn bytes(steps: &Dims, size: usize) -> SmallVec<[isize; 4]> {
    steps.iter().map(|&s| (s * size) as isize).collect()
}

/// Copies the elements of a box; strides are in bytes.
///
/// # Safety
/// For every point of the box its element of `size` bytes is readable from `from` and writable at `to`, and the two do not overlap.
pub unsafe fn copy(shape: &[usize], size: usize, from: (*const u8, &[isize]), to: (*mut u8, &[isize])) {
    if shape.contains(&0) {
        return;
    }
    // axes that matter, neighbours joined where both sides walk on
    let mut axes: SmallVec<[(usize, isize, isize); 4]> = SmallVec::new();
    for (k, &n) in shape.iter().enumerate().filter(|(_, n)| **n != 1) {
        let (f, t) = (from.1[k], to.1[k]);
        match axes.last_mut() {
            Some(last) if last.1 == f * n as isize && last.2 == t * n as isize => *last = (last.0 * n, f, t),
            _ => axes.push((n, f, t)),
        }
    }
    let (n, f, t) = axes.pop().unwrap_or((1, size as isize, size as isize));
    let mut at: SmallVec<[usize; 4]> = SmallVec::from_elem(0, axes.len());
    let (mut from, mut to) = (from.0, to.0);
    loop {
        // SAFETY: a row of the box.
        unsafe { row(n, size, (from, f), (to, t)) };
        let mut k = axes.len();
        loop {
            if k == 0 {
                return;
            }
            k -= 1;
            let (n, f, t) = axes[k];
            at[k] += 1;
            (from, to) = (from.wrapping_offset(f), to.wrapping_offset(t));
            if at[k] < n {
                break;
            }
            at[k] = 0;
            (from, to) = (from.wrapping_offset(-f * n as isize), to.wrapping_offset(-t * n as isize));
        }
    }
}

/// # Safety
/// As of [`copy`], for `n` elements.
unsafe fn row(n: usize, size: usize, from: (*const u8, isize), to: (*mut u8, isize)) {
    if from.1 == size as isize && to.1 == size as isize {
        // SAFETY: contiguous on both sides.
        return unsafe { from.0.copy_to_nonoverlapping(to.0, n * size) };
    }
    /// # Safety
    /// As of [`row`].
    unsafe fn each<T>(n: usize, from: (*const u8, isize), to: (*mut u8, isize)) {
        for i in 0..n as isize {
            let (from, to) = (from.0.wrapping_offset(i * from.1), to.0.wrapping_offset(i * to.1));
            // SAFETY: an element of the row.
            unsafe { to.cast::<T>().write_unaligned(from.cast::<T>().read_unaligned()) };
        }
    }
    // SAFETY: elements have this size.
    unsafe {
        match size {
            1 => each::<u8>(n, from, to),
            2 => each::<u16>(n, from, to),
            4 => each::<u32>(n, from, to),
            _ => each::<u64>(n, from, to),
        }
    }
}

/// Whether something that a launch stores may lie where one of its inputs does.
pub fn overlap(kernel: &Kernel, launch: &Launch<'_>) -> bool {
    let hull = |operand: &Operand, size| operand.hull(&launch.region.shape, size);
    let inputs = launch.inputs.iter().zip(kernel.inputs()).map(|(o, i)| hull(o, i.dtype.size()));
    let inputs: SmallVec<[_; 6]> = inputs.collect();
    kernel.roots().iter().zip(launch.outputs).any(|(root, output)| match (root, output) {
        (Root::Store { value }, Output::Store(operand)) => {
            let (from, to) = hull(operand, kernel.dtype(*value).size());
            inputs.iter().any(|i| i.0 < to && from < i.1)
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boxes_turn_and_spread() {
        let from: Vec<u16> = (0..24).collect();
        let mut to = vec![0u16; 24];
        // (2, 3, 4) in C order to (4, 3, 2) in C order
        let strides: [isize; 3] = [24, 8, 2];
        // SAFETY: both are whole boxes.
        unsafe {
            copy(&[2, 3, 4], 2, (from.as_ptr().cast(), &strides), (to.as_mut_ptr().cast(), &[2, 4, 12]));
        }
        assert_eq!(to[..4], [0, 12, 4, 16]);
        assert_eq!(to[6..8], [1, 13]);
    }
}
