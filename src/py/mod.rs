//! The Python classes of `ferromongo._core`, one file each; this file is their table.

use pyo3::prelude::*;

/// The extension module `ferromongo._core`.
#[pymodule(gil_used = true)]
fn _core(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
