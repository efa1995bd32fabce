//! Documents that the `bson` crate reads go through Python and back without a change, but for those that
//! `python_view` lists: what it reads from any bytes (even first byte), and what it is made to hold (odd).
#![no_main]

use arbitrary::Unstructured;
use bson::{Document, RawDocument};
use ferromongo::codec;
use ferromongo_fuzz::python::{finding, with_peer};
use ferromongo_fuzz::{documents, python_view};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((kind, data)) = input.split_first() else { return };
    if kind % 2 == 0 {
        let Ok(raw) = RawDocument::from_bytes(data) else { return };
        if let Ok(document) = Document::try_from(raw) {
            goes_through_python(data, document);
        }
    } else if let Ok(document) = documents::document(&mut Unstructured::new(data), DEEPEST) {
        let bytes = document.to_vec().expect("the crate writes what it holds");
        goes_through_python(&bytes, document);
    }
});

fn goes_through_python(bytes: &[u8], document: Document) {
    let expected =
        python_view::document(document).to_vec().expect("the crate writes what it holds");
    with_peer(|py, peer| {
        let settings = &peer.any_date.settings;
        let object =
            codec::decode_document(py, bytes, settings).unwrap_or_else(|error| finding(py, error));
        let mut ours = Vec::new();
        codec::encode_document(&object, settings, false, &mut ours)
            .unwrap_or_else(|error| finding(py, error));
        assert_eq!(ours, expected, "through Python: {object}");
    });
}

const DEEPEST: u32 = 6;
