//! How the codec fails. Inside the room an error is [`Raised`]: the exception already sits in the interpreter,
//! and a `Result` stays one machine word wide. `PyErr` appears only at the room's door.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::exceptions::{
    PyException, PyMemoryError, PyOverflowError, PyRecursionError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;

use super::imports::{self, Import};
use super::object;

/// A Python exception is set in the interpreter.
#[derive(Debug)]
pub struct Raised;

/// A new Python object, or an exception.
pub type Made<'py> = Result<Bound<'py, PyAny>, Raised>;

impl Raised {
    #[cold]
    pub fn into_error(self, py: Python<'_>) -> PyErr {
        PyErr::fetch(py)
    }
}

/// From pyo3's errors to the room's.
pub trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> Result<T, Raised>;
}

impl<T> OrRaise<T> for PyResult<T> {
    fn or_raise(self, py: Python<'_>) -> Result<T, Raised> {
        self.map_err(|error| restored(py, error))
    }
}

#[cold]
pub fn invalid_bson(py: Python<'_>, message: &str) -> Raised {
    raise(py, &imports::INVALID_BSON, message)
}

#[cold]
pub fn invalid_document(py: Python<'_>, message: &str) -> Raised {
    raise(py, &imports::INVALID_DOCUMENT, message)
}

#[cold]
pub fn too_long(py: Python<'_>) -> Raised {
    raise(
        py,
        &imports::INVALID_STRING_DATA,
        "a BSON string or binary holds at most 2147483647 bytes",
    )
}

#[cold]
pub fn integer_too_big(py: Python<'_>) -> Raised {
    raise_text(py.get_type::<PyOverflowError>().as_any(), "BSON integers have at most 8 bytes")
}

#[cold]
pub fn too_big(py: Python<'_>) -> Raised {
    value_error(py, "a BSON document holds at most 2147483647 bytes")
}

#[cold]
pub fn value_error(py: Python<'_>, message: &str) -> Raised {
    raise_text(py.get_type::<PyValueError>().as_any(), message)
}

#[cold]
pub fn type_error(py: Python<'_>, message: &str) -> Raised {
    raise_text(py.get_type::<PyTypeError>().as_any(), message)
}

#[cold]
pub fn raise(py: Python<'_>, class: &'static Import, message: &str) -> Raised {
    match class.get(py).or_raise(py) {
        Ok(class) => raise_text(class, message),
        Err(raised) => raised,
    }
}

#[cold]
pub fn raise_invalid_document(py: Python<'_>, message: Made<'_>) -> Raised {
    match imports::INVALID_DOCUMENT.get(py).or_raise(py) {
        Ok(class) => raise_with(class, message),
        Err(raised) => raised,
    }
}

pub fn raise_text(class: &Bound<'_, PyAny>, message: &str) -> Raised {
    raise_with(class, object::decode_utf8(class.py(), message.as_bytes(), None))
}

/// Raise `class(message)`, or what went wrong with the message.
///
/// Not through `PyErr::new_err`: that panics when there is no memory for the text, and lets go of the GIL when its
/// value is asked for, while the collector may be held off.
pub fn raise_with(class: &Bound<'_, PyAny>, message: Made<'_>) -> Raised {
    match message {
        Ok(message) => object::set_error(class, &message),
        Err(raised) => raised,
    }
}

/// What goes wrong inside an embedded value (bad UTF-8, an impossible date, too deep a nesting) is bad BSON to
/// the caller, whatever exception Python had for it. Want of memory is not the document's fault.
#[cold]
pub fn as_invalid_bson(py: Python<'_>, raised: Raised) -> Raised {
    let error = raised.into_error(py);
    let class = match imports::INVALID_BSON.class(py) {
        Ok(class) => class,
        Err(error) => return restored(py, error),
    };
    if error.is_instance(py, class)
        || error.is_instance_of::<PyMemoryError>(py)
        || !error.is_instance_of::<PyException>(py)
    {
        return restored(py, error);
    }
    let message = match error.value(py).str() {
        Ok(message) => Ok(message.into_any()),
        // At the recursion limit even str() has no room left.
        Err(deep) if deep.is_instance_of::<PyRecursionError>(py) => {
            object::decode_utf8(py, b"the document is nested too deeply", None)
        }
        Err(error) => Err(restored(py, error)),
    };
    match message.and_then(|message| class.call1((message,)).or_raise(py)) {
        Ok(wrapped) => raise_from(wrapped, error),
        Err(raised) => raised,
    }
}

/// An `InvalidDocument` raised below a top-level key names the whole document too.
#[cold]
pub fn with_document(document: &Bound<'_, PyAny>, raised: Raised) -> Raised {
    let py = document.py();
    let error = raised.into_error(py);
    let class = match imports::INVALID_DOCUMENT.class(py) {
        Ok(class) if error.is_instance(py, class) => class,
        Ok(_) => return restored(py, error),
        Err(error) => return restored(py, error),
    };
    let message = object::text_and_str(c"Invalid document: ", error.value(py).as_any());
    match message.and_then(|message| class.call1((message, document)).or_raise(py)) {
        Ok(wrapped) => raise_from(wrapped, error),
        Err(raised) => raised,
    }
}

/// `raise wrapped from cause`.
pub fn raise_from(wrapped: Bound<'_, PyAny>, cause: PyErr) -> Raised {
    let py = wrapped.py();
    let wrapped = PyErr::from_value(wrapped);
    wrapped.set_cause(py, Some(cause));
    restored(py, wrapped)
}

/// pyo3 makes the text of its own errors (of a failed `extract`) only here, and panics if it can't: it would be
/// in the middle of turning that panic into an exception, with no memory for that either, and so end the process.
pub fn restored(py: Python<'_>, error: PyErr) -> Raised {
    match catch_unwind(AssertUnwindSafe(|| error.restore(py))) {
        Ok(()) => Raised,
        Err(_) => object::no_memory(py),
    }
}
