//! Any bytes are a document, equal to the one that PyMongo reads, or InvalidBSON; what was read with default
//! options is read the same after encoding it.
//!
//! Input: two bytes choose the options, one the way in (a document or a cursor's batch), the rest is the BSON.
#![no_main]

use ferromongo::codec::{self, CodecSettings};
use ferromongo_fuzz::python::{Options, Peer, answer, untouched, with_peer};
use libfuzzer_sys::fuzz_target;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

fuzz_target!(|input: &[u8]| {
    let Some((&[low, high, way], data)) = input.split_first_chunk::<3>() else { return };
    with_peer(|py, peer| {
        let options = peer.options([low, high]);
        match way {
            0..0xC0 => document(py, peer, options, data),
            limit => batch(py, peer, options, data, usize::from(limit - 0xC0)),
        }
    });
});

fn document(py: Python<'_>, peer: &Peer, options: &Options, data: &[u8]) {
    let ours = codec::decode_document(py, data, &options.settings);
    untouched(py);
    let bytes = PyBytes::new(py, data);
    peer.check(py, "check_decoded", (&bytes, &options.object, answer(py, &ours)));
    if let Ok(document) = ours
        && std::ptr::eq(options, &peer.options[0])
    {
        let again = encoded_and_decoded(&document, &options.settings);
        peer.check(py, "check_again", (bytes, document, answer(py, &again)));
    }
}

fn encoded_and_decoded<'py>(
    document: &Bound<'py, PyAny>,
    settings: &CodecSettings,
) -> PyResult<Bound<'py, PyAny>> {
    let mut bytes = Vec::new();
    codec::encode_document(document, settings, false, &mut bytes)?;
    codec::decode_document(document.py(), &bytes, settings)
}

/// A batch read in slices of at most `limit` documents is the batch read one by one, and fails at the same place.
fn batch(py: Python<'_>, peer: &Peer, options: &Options, array: &[u8], limit: usize) {
    let settings = &options.settings;
    let (singly, at) = gather(py, |documents, at| {
        let next = codec::decode_next_in_array(py, array, settings, at)?;
        next.map(|document| documents.append(document)).transpose().map(|more| more.is_some())
    });
    let (sliced, sliced_at) = gather(py, |documents, at| {
        let slice = codec::decode_array_of_documents(py, array, settings, at, limit + 1)?;
        assert!(slice.len() <= limit + 1);
        documents.call_method1("extend", (&slice,))?;
        Ok(!slice.is_empty())
    });
    assert_eq!(at, sliced_at);
    assert_eq!(singly.is_ok(), sliced.is_ok());
    let bytes = PyBytes::new(py, array);
    if sliced.is_ok() {
        peer.check(py, "check_again", (&bytes, answer(py, &singly), answer(py, &sliced)));
    }
    peer.check(py, "check_batch", (bytes, &options.object, answer(py, &singly)));
}

/// Call `step` until it is done or fails: the documents, and the offset reached.
fn gather<'py>(
    py: Python<'py>,
    step: impl Fn(&Bound<'py, PyList>, &mut usize) -> PyResult<bool>,
) -> (PyResult<Bound<'py, PyAny>>, usize) {
    let (documents, mut at) = (PyList::empty(py), 0);
    let result = loop {
        match step(&documents, &mut at) {
            Ok(true) => {}
            Ok(false) => break Ok(documents.into_any()),
            Err(error) => break Err(error),
        }
    };
    untouched(py);
    (result, at)
}
