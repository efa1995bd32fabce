//! Any Python object is encoded to the bytes that PyMongo makes of it, or refused with the same class of exception;
//! what stood in the output before stays there.
//!
//! Input: two bytes choose the options, one whether keys are checked, the rest is what `objects.py` makes of it.
#![no_main]

use ferromongo::codec;
use ferromongo_fuzz::python::{answer, finding, untouched, with_peer};
use libfuzzer_sys::fuzz_target;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

fuzz_target!(|input: &[u8]| {
    let Some((&[low, high, check_keys], data)) = input.split_first_chunk::<3>() else { return };
    with_peer(|py, peer| {
        let options = peer.options([low, high]);
        let check_keys = check_keys % 4 == 0;
        let made = peer.make_document.bind(py).call1((PyBytes::new(py, data),));
        let made = made.and_then(|made| made.extract::<(Bound<'_, PyAny>, bool)>());
        let (document, honest) = made.unwrap_or_else(|error| finding(py, error));
        let mut out = BEFORE.to_vec();
        let result = codec::encode_document(&document, &options.settings, check_keys, &mut out);
        untouched(py);
        assert!(out.starts_with(BEFORE) && (result.is_ok() || out == BEFORE));
        let ours = result.map(|()| PyBytes::new(py, &out[BEFORE.len()..]).into_any());
        let said = (document, honest, check_keys, &options.object, answer(py, &ours));
        peer.check(py, "check_encoded", said);
    });
});

const BEFORE: &[u8] = b"before";
