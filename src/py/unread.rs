//! The documents of a batch as Python objects.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::documents::Documents;
use crate::codec::{self, CodecSettings};
use crate::ops::cursor::unread::Unread;

/// Each cursor of ours was opened with such.
fn settings(unread: &Unread) -> &CodecSettings {
    let documents: &Documents = unread.reader.downcast_ref().expect("a cursor of this room's");
    documents.codec()
}

pub fn next<'py>(py: Python<'py>, unread: &mut Unread) -> PyResult<Option<Bound<'py, PyAny>>> {
    if unread.raw {
        return bytes(py, unread).map(|bytes| Some(bytes.into_any()));
    }
    let mut at = unread.at;
    let found =
        codec::decode_next_in_array(py, unread.batch.documents(), settings(unread), &mut at);
    unread.at = at;
    found
}

/// As with PyMongo: decoders get the fields of an event, each of which is passed whatever they do. Without
/// them it is a document like others.
pub fn next_event<'py>(
    py: Python<'py>,
    unread: &mut Unread,
) -> PyResult<Option<PyResult<Bound<'py, PyAny>>>> {
    if !settings(unread).has_decoders() {
        return next(py, unread).map(|event| event.map(Ok));
    }
    let decoded =
        unread.peek().map(|event| codec::decode_document(py, event.as_bytes(), settings(unread)));
    unread.pass();
    Ok(decoded)
}

/// As many as an event loop has time for.
pub fn some<'py>(
    py: Python<'py>,
    unread: &mut Unread,
    most: usize,
) -> PyResult<Bound<'py, PyList>> {
    if unread.raw {
        return PyList::new(py, [bytes(py, unread)?]);
    }
    let documents = unread.batch.documents();
    let slice = (SLICE_BYTES * unread.batch.count / documents.len()).clamp(1, most);
    let mut at = unread.at;
    let found = codec::decode_array_of_documents(py, documents, settings(unread), &mut at, slice);
    unread.at = at;
    found
}

/// All documents, end to end.
fn bytes<'py>(py: Python<'py>, unread: &Unread) -> PyResult<Bound<'py, PyBytes>> {
    let documents = unread.batch.raw();
    PyBytes::new_with(py, documents.iter().map(|document| document.len()).sum(), |mut out| {
        for document in documents {
            let (here, rest) = out.split_at_mut(document.len());
            here.copy_from_slice(document);
            out = rest;
        }
        Ok(())
    })
}

/// About 5 ms of decoding.
const SLICE_BYTES: usize = 3 << 19;
