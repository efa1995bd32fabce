//! The Python classes of `ferromongo._core`, one file each; this file is their table.

use pyo3::prelude::*;

mod bson;
pub mod imports;

/// The extension module `ferromongo._core`.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(bson::encode, module)?)?;
    module.add_function(wrap_pyfunction!(bson::decode, module)?)?;
    Ok(())
}
