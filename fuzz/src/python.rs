//! The interpreter inside a target, and PyMongo in it. The Python side (`fuzz/python/peer.py`) makes the option
//! sets and says whether an answer of ours agrees with PyMongo's; a disagreement ends the run as a finding.

use std::ffi::{CStr, CString};
use std::sync::OnceLock;

use ferromongo::codec::CodecSettings;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyModule};

pub struct Peer {
    pub module: Py<PyModule>,
    pub options: Vec<Options>,
    /// For every date that BSON can hold, and no choice besides.
    pub any_date: Options,
    /// From the input's bytes to something to encode.
    pub make_document: Py<PyAny>,
}

/// A `CodecOptions` and the same read by ferromongo.
pub struct Options {
    pub object: Py<PyAny>,
    pub settings: CodecSettings,
}

/// Run `act` with the interpreter held.
pub fn with_peer(act: impl FnOnce(Python<'_>, &Peer)) {
    static PEER: OnceLock<Peer> = OnceLock::new();
    Python::initialize();
    Python::attach(|py| {
        let peer = PEER.get_or_init(|| Peer::load(py).unwrap_or_else(|error| finding(py, error)));
        act(py, peer);
        untouched(py);
    });
}

impl Peer {
    fn load(py: Python<'_>) -> PyResult<Peer> {
        let module = import(py, include_str!("../python/peer.py"), c"peer")?;
        let objects = import(py, include_str!("../python/objects.py"), c"objects")?;
        let options = module.getattr("OPTIONS")?.cast_into::<PyList>()?;
        Ok(Peer {
            options: options.iter().map(Options::of).collect::<PyResult<_>>()?,
            any_date: Options::of(module.getattr("ANY_DATE")?)?,
            make_document: objects.getattr("document")?.unbind(),
            module: module.unbind(),
        })
    }

    /// The options that two bytes of the input choose; half of all choices are the default ones, the first.
    pub fn options(&self, choice: [u8; 2]) -> &Options {
        let choice = usize::from(u16::from_le_bytes(choice));
        if choice % 2 == 0 {
            &self.options[0]
        } else {
            &self.options[choice / 2 % self.options.len()]
        }
    }

    /// Call a function of `peer.py` that raises when the answers differ.
    pub fn check<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        arguments: impl pyo3::call::PyCallArgs<'py>,
    ) {
        let function = self.module.bind(py).getattr(name);
        if let Err(error) = function.and_then(|function| function.call1(arguments)) {
            finding(py, error);
        }
    }
}

fn import<'py>(py: Python<'py>, source: &str, name: &CStr) -> PyResult<Bound<'py, PyModule>> {
    PyModule::from_code(py, &CString::new(source)?, name, name)
}

impl Options {
    fn of(object: Bound<'_, PyAny>) -> PyResult<Options> {
        let settings = CodecSettings::from_python(&object)?;
        Ok(Options { object: object.unbind(), settings })
    }
}

/// A call of the codec leaves no exception behind that it does not answer, and the collector switched on.
pub fn untouched(py: Python<'_>) {
    if let Some(error) = PyErr::take(py) {
        finding(py, error);
    }
    // SAFETY: the interpreter is held; reads a flag.
    assert_eq!(unsafe { pyo3::ffi::PyGC_IsEnabled() }, 1, "the collector was left switched off");
}

/// A value or the exception, as one object for `peer.py`.
pub fn answer<'py>(py: Python<'py>, result: &PyResult<Bound<'py, PyAny>>) -> Bound<'py, PyAny> {
    match result {
        Ok(value) => value.clone(),
        Err(error) => error.value(py).clone().into_any(),
    }
}

pub fn finding(py: Python<'_>, error: PyErr) -> ! {
    error.print(py);
    panic!("a finding: see the Python traceback above");
}
