//! Where the engine's parts of the last few objects were found, so that a loop over a cursor looks its part
//! up once and not for every document.
//!
//! CPython 3.11 and 3.12 give each dict a number that no other dict ever has, and another one with each
//! change: a dict that has the same number is the same dict with the same contents. Other versions have
//! none, and nothing is remembered.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering::Relaxed};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3::{PyTypeInfo, ffi};

/// The number of an object's dict, and the version of its class. Zero: there is none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct State {
    dict: u64,
    class: u64,
}

impl State {
    #[inline]
    pub fn of(owner: &Bound<'_, PyAny>, dict: &Bound<'_, PyDict>) -> State {
        // SAFETY: the GIL is held. All versions of CPython have eight bytes at this place of a dict.
        let (dict, class) = unsafe {
            let dict = (*dict.as_ptr().cast::<Dict>()).version;
            (dict, (*owner.get_type_ptr()).tp_version_tag)
        };
        State { dict, class: u64::from(class) }
    }
}

#[inline]
pub fn get<'py, T: PyTypeInfo>(
    owner: &Bound<'py, PyAny>,
    dict: &Bound<'py, PyDict>,
) -> Option<Bound<'py, T>> {
    let (place, state) = (place(dict), State::of(owner, dict));
    if place.dict.load(Relaxed) != state.dict || place.class.load(Relaxed) != state.class {
        return None;
    }
    let part = place.part.load(Relaxed);
    if part.is_null() {
        return None;
    }
    // SAFETY: the GIL is held. A dict with the number that `set` was given is that dict, unchanged: it still
    // holds the part, and `dict` is held.
    unsafe {
        let part = Bound::from_borrowed_ptr(owner.py(), part);
        (part.get_type_ptr() == T::type_object_raw(owner.py())).then(|| part.cast_into_unchecked())
    }
}

/// The part is in the dict, which has been in this state since before it was found there.
pub fn set<T>(dict: &Bound<'_, PyDict>, state: State, part: &Bound<'_, T>) {
    if !NUMBERED.load(Relaxed) || state.dict == 0 || state.class == 0 {
        return;
    }
    let place = place(dict);
    place.dict.store(state.dict, Relaxed);
    place.class.store(state.class, Relaxed);
    place.part.store(part.as_ptr(), Relaxed);
}

pub fn prepare(py: Python<'_>) {
    let version = py.version_info();
    NUMBERED.store(version.major == 3 && (11..=12).contains(&version.minor), Relaxed);
}

#[inline]
fn place(dict: &Bound<'_, PyDict>) -> &'static Place {
    &PLACES[(dict.as_ptr() as usize >> 6) % PLACES.len()]
}

/// What begins a CPython dict. In other versions the number is something else.
#[repr(C)]
struct Dict {
    object: ffi::PyObject,
    used: ffi::Py_ssize_t,
    version: u64,
}

/// Read and written with the GIL only.
struct Place {
    dict: AtomicU64,
    class: AtomicU64,
    /// Borrowed from the dict.
    part: AtomicPtr<ffi::PyObject>,
}

static PLACES: [Place; 16] = [const {
    Place { dict: AtomicU64::new(0), class: AtomicU64::new(0), part: AtomicPtr::new(null_mut()) }
}; 16];

static NUMBERED: AtomicBool = AtomicBool::new(false);
