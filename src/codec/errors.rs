//! How the codec fails. Inside the room an error is [`Raised`]: the exception already sits in the interpreter,
//! and a `Result` stays one machine word wide. `PyErr` appears only at the room's door.

use pyo3::prelude::*;
use pyo3::types::PyType;

use super::object;
use crate::py::imports::{self, Import};

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
        self.map_err(|error| {
            error.restore(py);
            Raised
        })
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
    pyo3::exceptions::PyOverflowError::new_err("BSON integers have at most 8 bytes").restore(py);
    Raised
}

#[cold]
pub fn raise(py: Python<'_>, class: &'static Import, message: &str) -> Raised {
    match class.class(py) {
        Ok(class) => PyErr::from_type(class.clone(), message.to_owned()).restore(py),
        Err(error) => error.restore(py),
    }
    Raised
}

/// What goes wrong inside an embedded value (bad UTF-8, an impossible date, too deep a nesting) is bad BSON to
/// the caller, whatever exception Python had for it.
#[cold]
pub fn as_invalid_bson(py: Python<'_>, raised: Raised) -> Raised {
    let error = raised.into_error(py);
    let class = match imports::INVALID_BSON.class(py) {
        Ok(class) => class,
        Err(error) => {
            error.restore(py);
            return Raised;
        }
    };
    if error.is_instance(py, class) || !error.is_instance_of::<pyo3::exceptions::PyException>(py) {
        error.restore(py);
    } else {
        // At the recursion limit even str() has no room left.
        let message = error.value(py).str().map_or_else(
            |_| "the document is nested too deeply".to_owned(),
            |message| message.to_string_lossy().into_owned(),
        );
        let wrapped = PyErr::from_type(class.clone(), message);
        wrapped.set_cause(py, Some(error));
        wrapped.restore(py);
    }
    Raised
}

/// An `InvalidDocument` raised below a top-level key names the whole document too.
#[cold]
pub fn with_document(document: &Bound<'_, PyAny>, raised: Raised) -> Raised {
    let py = document.py();
    let error = raised.into_error(py);
    let named = |class: &Bound<'_, PyType>| {
        let message = format!("Invalid document: {}", error.value(py));
        let wrapped = PyErr::from_type(class.clone(), (message, document.clone().unbind()));
        wrapped.set_cause(py, Some(error.clone_ref(py)));
        wrapped
    };
    match imports::INVALID_DOCUMENT.class(py) {
        Ok(class) if error.is_instance(py, class) => named(class).restore(py),
        Ok(_) => error.restore(py),
        Err(error) => error.restore(py),
    }
    Raised
}

/// Guards one level of nesting: Python's own recursion limit counts, and a cap keeps the native stack safe
/// where that limit was raised.
pub struct Nested;

impl Nested {
    pub fn enter(
        py: Python<'_>,
        depth: u32,
        what: &'static std::ffi::CStr,
    ) -> Result<Nested, Raised> {
        if depth > DEEPEST {
            pyo3::exceptions::PyRecursionError::new_err("document nested too deeply").restore(py);
            return Err(Raised);
        }
        object::enter_recursive_call(py, what)?;
        Ok(Nested)
    }
}

impl Drop for Nested {
    fn drop(&mut self) {
        object::leave_recursive_call();
    }
}

/// MongoDB itself takes 100 levels. A level costs about 450 bytes of stack here, and threads may have half a megabyte.
const DEEPEST: u32 = 1000;
