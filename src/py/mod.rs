//! The Python classes of `ferromongo._core`, one file each; this file is their table.

use pyo3::prelude::*;

mod blank_bytes;
mod bson;
mod bulk;
mod bulk_totals;
mod change_stream;
mod client;
mod client_bulk;
mod cursor;
mod cursor_fetch;
mod cursor_state;
mod descriptions;
mod errors;
mod exit;
mod future;
mod gil;
mod grid_download;
mod grid_upload;
mod hub_driver;
pub mod imports;
mod instance;
mod interpreter;
mod journal;
mod last_found;
mod listeners;
mod loggers;
mod loop_driver;
pub mod names;
mod object_ids;
pub mod once;
mod options;
mod pending;
mod pulse;
mod scope;
mod seed_lookup;
mod server_selector;
mod session;
mod thread_driver;
mod time_limit;
mod transaction_options;

/// The extension module `ferromongo._core`.
#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    interpreter::claim(module.py())?;
    exit::prepare();
    names::make(module.py())?;
    crate::codec::prepare(module.py());
    crate::control::prepare();
    loop_driver::prepare(module)?;
    thread_driver::prepare(module.py());
    hub_driver::prepare(module.py());
    last_found::prepare(module.py());
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<change_stream::ChangeStreamCore>()?;
    module.add_class::<change_stream::SyncChangeStreamCore>()?;
    module.add_class::<change_stream::AsyncChangeStreamCore>()?;
    module.add_class::<client::PyClient>()?;
    module.add_class::<cursor::CursorCore>()?;
    module.add_class::<cursor::SyncCursorCore>()?;
    module.add_class::<cursor::AsyncCursorCore>()?;
    module.add_class::<grid_download::PyGridDownload>()?;
    module.add_class::<grid_upload::PyGridUpload>()?;
    module.add_class::<journal::PyJournal>()?;
    module.add_class::<listeners::EventQueue>()?;
    module.add_class::<listeners::OwnEvents>()?;
    module.add_class::<pending::PyPending>()?;
    module.add_class::<scope::PyScope>()?;
    module.add_class::<seed_lookup::PySeedLookup>()?;
    module.add_class::<session::PySession>()?;
    module.add_function(wrap_pyfunction!(future::start, module)?)?;
    module.add_function(wrap_pyfunction!(bson::encode, module)?)?;
    module.add_function(wrap_pyfunction!(bson::decode, module)?)?;
    module.add_function(wrap_pyfunction!(bson::decode_all, module)?)?;
    module.add_function(wrap_pyfunction!(loggers::note_loggers, module)?)?;
    Ok(())
}
