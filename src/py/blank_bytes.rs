//! A bytes object that is filled without the GIL, by one future, before anybody else sees it.

use std::ptr::NonNull;

use pyo3::exceptions::PyOverflowError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::ops::gridfs::download::Sink;

pub struct BlankBytes {
    object: Py<PyBytes>,
    data: NonNull<u8>,
    length: usize,
    filled: usize,
}

// SAFETY: nobody else has the object, so its bytes are written from one thread at a time; `Py` may be sent.
unsafe impl Send for BlankBytes {}

impl BlankBytes {
    /// MemoryError if there is no room.
    pub fn new(py: Python<'_>, length: u64) -> PyResult<BlankBytes> {
        let size = isize::try_from(length).map_err(|_| PyOverflowError::new_err(TOO_LONG))?;
        // SAFETY: a new object of `size` bytes that nobody has seen, or null with an exception set. Without a source
        // its bytes are not initialized, and nothing reads them before `whole`. (An empty one may be shared: into it
        // nothing is written.)
        let object: Bound<'_, PyBytes> = unsafe {
            let object = ffi::PyBytes_FromStringAndSize(std::ptr::null(), size);
            Bound::from_owned_ptr_or_err(py, object)?.cast_into_unchecked()
        };
        // SAFETY: a live bytes object, whose data is never null and stays where it is.
        let data = unsafe { NonNull::new_unchecked(ffi::PyBytes_AsString(object.as_ptr()).cast()) };
        let length = size as usize;
        in_large_pages(data, length);
        Ok(BlankBytes { object: object.unbind(), data, length, filled: 0 })
    }

    /// To be called when all of it is filled.
    pub fn whole(self) -> Py<PyBytes> {
        assert_eq!(self.filled, self.length, "bytes are handed out when they are whole");
        self.object
    }
}

impl Sink for BlankBytes {
    fn put(&mut self, part: &[u8]) {
        assert!(part.len() <= self.length - self.filled, "more than was asked for");
        // SAFETY: the object has `length` bytes, of which those behind `filled` are free, and `part` fits there. It is
        // no part of the object, since no reference to its bytes is ever made before it is whole.
        unsafe {
            let place = self.data.as_ptr().add(self.filled);
            std::ptr::copy_nonoverlapping(part.as_ptr(), place, part.len());
        }
        self.filled += part.len();
    }
}

/// Most of the time that it takes to fill much new memory goes into its page faults. Linux saves them if it is asked
/// to; numpy asks in the same way.
fn in_large_pages(data: NonNull<u8>, length: usize) {
    if length < LARGE {
        return;
    }
    let begin = data.as_ptr().align_offset(PAGE);
    // SAFETY: whole pages of the object, which has more. It is advice: the contents stay as they are, and an error is
    // as good as none.
    unsafe {
        let pages = (length - begin) / PAGE * PAGE;
        libc::madvise(data.as_ptr().add(begin).cast(), pages, libc::MADV_HUGEPAGE);
    }
}

const LARGE: usize = 4 << 20;
/// A multiple of every system's.
const PAGE: usize = 64 * 1024;
const TOO_LONG: &str = "the file is too long for one bytes object";
