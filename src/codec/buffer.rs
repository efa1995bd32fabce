//! Appending to the output. `Vec::extend_from_slice` is a call, and so is the copy within it; names and numbers
//! are a few bytes, which two overlapping moves copy in place. And a `Vec` that can't grow ends the process: here
//! that is a MemoryError.

use pyo3::Python;

use super::errors::{Raised, too_big};
use super::object;

/// Append `bytes`.
#[inline(always)]
pub fn append(py: Python<'_>, out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Raised> {
    let (length, count) = (out.len(), bytes.len());
    if out.capacity() - length < count {
        grow(py, out, count)?;
    }
    // SAFETY: there is room for `count` bytes behind `length`; every move stays within the first `count` bytes
    // of both sides, which do not overlap (`out` is borrowed mutably), and all of them are written.
    unsafe {
        let (from, to) = (bytes.as_ptr(), out.as_mut_ptr().add(length));
        match count {
            0 => {}
            1 => *to = *from,
            2..4 => both_ends::<u16>(from, to, count),
            4..8 => both_ends::<u32>(from, to, count),
            8..=16 => both_ends::<u64>(from, to, count),
            _ => std::ptr::copy_nonoverlapping(from, to, count),
        }
        out.set_len(length + count);
    }
    Ok(())
}

/// Copy the first and the last `T` of `count` bytes.
///
/// # Safety
/// Both sides have `count` bytes, and a `T` is no longer than that and no shorter than half of it.
#[inline(always)]
unsafe fn both_ends<T>(from: *const u8, to: *mut u8, count: usize) {
    // SAFETY: the caller's promise; the moves do not ask for alignment.
    unsafe {
        let last = count - size_of::<T>();
        let (start, end) =
            (from.cast::<T>().read_unaligned(), from.add(last).cast::<T>().read_unaligned());
        to.cast::<T>().write_unaligned(start);
        to.add(last).cast::<T>().write_unaligned(end);
    }
}

#[cold]
#[inline(never)]
fn grow(py: Python<'_>, out: &mut Vec<u8>, count: usize) -> Result<(), Raised> {
    // No document is longer than this: better to stop here than to gather what can't be sent.
    if out.len() + count > i32::MAX as usize {
        return Err(too_big(py));
    }
    out.try_reserve(count.max(FIRST)).map_err(|_| object::no_memory(py))
}

/// Whether a NUL is among `bytes`, eight at a time.
#[inline]
pub fn has_nul(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().any(|word| {
        let word = u64::from_le_bytes(*word);
        word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080 != 0
    }) || rest.contains(&0)
}

/// A fresh buffer starts with room for a small document.
const FIRST: usize = 512;
