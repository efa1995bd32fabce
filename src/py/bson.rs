//! `ferromongo._core.encode`, `decode` and `decode_all`: the codec as plain functions, behind `ferromongo.bson`.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};

use crate::codec::imports;
use crate::codec::{self, CodecSettings};

#[pyfunction]
pub fn encode<'py>(
    document: &Bound<'py, PyAny>,
    check_keys: u8, // as PyMongo has it: a bool is an int, and others count too
    codec_options: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let settings = settings_of(codec_options)?;
    if let Some(bytes) = codec::encoded_already(document)? {
        return Ok(bytes);
    }
    let mut out = take_scratch();
    let encoded = codec::encode_to_bytes(document, &settings, check_keys != 0, &mut out);
    give_back_scratch(out);
    encoded
}

#[pyfunction]
pub fn decode<'py>(
    data: &Bound<'py, PyAny>,
    codec_options: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    codec::decode_one(data, &*settings_of(codec_options)?)
}

#[pyfunction]
pub fn decode_all<'py>(
    data: &Bound<'py, PyAny>,
    codec_options: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyList>> {
    codec::decode_sequence(data, &*settings_of(codec_options)?)
}

/// Callers pass the same few options objects again and again: the settings of the last ones are kept.
/// Options are immutable and the entry holds a reference, so the same address means the same options.
fn settings_of(options: &Bound<'_, PyAny>) -> PyResult<Arc<CodecSettings>> {
    let py = options.py();
    let lock = || RECENT.lock_py_attached(py).expect("nothing panics while holding it");
    if let Some(settings) = lock().settings.iter().flatten().find(|known| known.is_for(options)) {
        return Ok(settings.clone());
    }
    if !options.is_instance(imports::CODEC_OPTIONS.get(py)?)? {
        return Err(PyTypeError::new_err("codec_options must be a CodecOptions object"));
    }
    let settings = Arc::new(CodecSettings::from_python(options)?);
    let old = lock().replace_oldest(settings.clone());
    drop(old); // after the lock: it may run Python code
    Ok(settings)
}

struct Recent {
    settings: [Option<Arc<CodecSettings>>; 4],
    oldest: usize,
}

impl Recent {
    fn replace_oldest(&mut self, settings: Arc<CodecSettings>) -> Option<Arc<CodecSettings>> {
        let place = self.oldest;
        self.oldest = (place + 1) % self.settings.len();
        self.settings[place].replace(settings)
    }
}

static RECENT: Mutex<Recent> = Mutex::new(Recent { settings: [const { None }; 4], oldest: 0 });

/// A warm output buffer spares growing one from nothing at every call. A nested call (a type codec that
/// encodes) finds none and makes its own.
fn take_scratch() -> Vec<u8> {
    SCRATCH.take()
}

fn give_back_scratch(mut buffer: Vec<u8>) {
    if buffer.capacity() <= SCRATCH_LIMIT {
        buffer.clear();
        SCRATCH.set(buffer);
    }
}

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Bigger buffers go back to the allocator: one huge document must not hold memory for ever.
const SCRATCH_LIMIT: usize = 256 * 1024;
