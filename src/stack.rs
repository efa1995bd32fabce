//! How much of this thread's stack is left. Programs may give threads small ones (`threading.stack_size`),
//! and running over the end would end the process.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ops::Range;

/// Bytes left to the end of the stack; `usize::MAX` where that is unknown.
#[inline]
pub fn left() -> usize {
    thread_local! {
        static BOUNDS: Cell<Option<(usize, usize)>> = const { Cell::new(None) };
    }
    let here = 0u8;
    let here = &raw const here as usize;
    let (lowest, end) = BOUNDS.get().unwrap_or_else(|| {
        let found = bounds().unwrap_or_default();
        BOUNDS.set(Some((found.start, found.end)));
        (found.start, found.end)
    });
    // Code outside of these bounds runs on a stack of its own.
    if (lowest..end).contains(&here) { here - lowest } else { usize::MAX }
}

#[cold]
fn bounds() -> Option<Range<usize>> {
    let mut attributes = MaybeUninit::uninit();
    let (mut address, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: the attributes are filled by the first call, read by those after it if it succeeded, and then
    // destroyed; the other pointers are to locals.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let found = libc::pthread_attr_getstack(attributes.as_ptr(), &mut address, &mut size);
        libc::pthread_attr_getguardsize(attributes.as_ptr(), &mut guard);
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        let lowest = address as usize;
        (found == 0).then_some(lowest + guard..lowest.saturating_add(size))
    }
}
