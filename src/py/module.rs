//! The extension module `ferromongo._core`: what is prepared when it is imported, and what it exports.

use pyo3::prelude::*;

use super::{
    bson, change_stream, client, cursor, exit, future, grid_download, grid_upload, hub_driver,
    interpreter, journal, last_found, listeners, loggers, loop_driver, pending, scope, seed_lookup,
    session, thread_driver,
};

#[pymodule(gil_used = true)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    interpreter::claim(module.py())?;
    exit::prepare();
    crate::codec::prepare(module.py())?;
    crate::control::thread::prepare();
    loop_driver::prepare(module)?;
    thread_driver::prepare(module.py());
    hub_driver::prepare(module.py());
    last_found::prepare(module.py());
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<change_stream::ChangeStreamBase>()?;
    module.add_class::<change_stream::SyncChangeStreamBase>()?;
    module.add_class::<change_stream::AsyncChangeStreamBase>()?;
    module.add_class::<client::PyClient>()?;
    module.add_class::<cursor::CursorBase>()?;
    module.add_class::<cursor::SyncCursorBase>()?;
    module.add_class::<cursor::AsyncCursorBase>()?;
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
