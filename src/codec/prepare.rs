//! What the codec makes while there is memory: much of that could only panic later.

use pyo3::prelude::*;

use super::classes::Classes;
use super::names;

/// Makes the names, and looks up the classes of `bson`. If a program has replaced one by an unsuitable class,
/// the first use raises TypeError.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    names::make(py)?;
    drop(Classes::get(py));
    Ok(())
}
