//! What the encoder reads of instances of `bson`'s classes: a slot, for which no Python code has to run, or else the
//! public attribute, which a subclass may answer in its own way.

use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::codec::errors::{Made, OrRaise, Raised};

/// `slot`, or else the attribute `name` of `value`.
pub fn field<'py>(
    value: &Bound<'py, PyAny>,
    slot: Option<Bound<'py, PyAny>>,
    name: &Bound<'py, PyString>,
) -> Made<'py> {
    slot.map_or_else(|| value.getattr(name), Ok).or_raise(value.py())
}

/// The same, as an integer.
pub fn integer<'py, T>(
    value: &Bound<'py, PyAny>,
    slot: Option<Bound<'py, PyAny>>,
    name: &Bound<'py, PyString>,
) -> Result<T, Raised>
where
    T: for<'a> FromPyObject<'a, 'py, Error = PyErr>,
{
    field(value, slot, name)?.extract().or_raise(value.py())
}
