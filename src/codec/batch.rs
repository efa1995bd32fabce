//! The documents of a cursor batch: a BSON array whose elements are documents, read in one go or one by one.

use pyo3::prelude::*;
use pyo3::types::PyList;

use super::decode::Decoder;
use super::errors::{Raised, invalid_bson};
use super::keys::Key;
use super::object::{self, CollectorPause};
use super::settings::CodecSettings;

/// Decode up to `limit` documents of `array` (a whole BSON array) from offset `at` on, 0 being its start.
/// Moves `at` behind the last one decoded.
pub fn decode_array_of_documents<'py>(
    py: Python<'py>,
    array: &[u8],
    settings: &CodecSettings,
    at: &mut usize,
    limit: usize,
) -> PyResult<Bound<'py, PyList>> {
    let _pause = settings.is_plain().then(|| CollectorPause::begin(py));
    let mut decoder = Decoder::new(py, settings);
    let mut documents = Vec::with_capacity(limit.min(array.len() / SMALLEST_ELEMENT).min(4096));
    let mut list = || {
        while documents.len() < limit
            && let Some(document) = next(&mut decoder, array, at)?
        {
            object::push(py, &mut documents, document)?;
        }
        object::list(py, &mut documents, 0)
    };
    let list = list().map_err(|raised: Raised| raised.into_error(py))?;
    Ok(list.cast_into::<PyList>()?)
}

/// Decode the document of `array` at offset `at` (0 being its start) and move `at` behind it; None at the end.
pub fn decode_next_in_array<'py>(
    py: Python<'py>,
    array: &[u8],
    settings: &CodecSettings,
    at: &mut usize,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    next(&mut Decoder::new(py, settings), array, at).map_err(|raised| raised.into_error(py))
}

fn next<'py>(
    decoder: &mut Decoder<'_, 'py>,
    array: &[u8],
    at: &mut usize,
) -> Result<Option<Bound<'py, PyAny>>, Raised> {
    let py = decoder.py;
    if *at == 0 {
        let whole = decoder.extent(array, at)?;
        if whole.len() != array.len() {
            return Err(invalid_bson(py, "the array's length is not that of the data"));
        }
        *at = 4;
    }
    let Some((_, data)) = array.split_last() else { return Ok(None) };
    if *at >= data.len() {
        return Ok(None);
    }
    if data[*at] != DOCUMENT {
        return Err(invalid_bson(py, "a batch holds something that is not a document"));
    }
    let mut position = *at;
    Key::skip(py, data, *at + 1, &mut position)?;
    let _pause = decoder.pause_if_large(data.get(position..).unwrap_or_default());
    let document = decoder.value(*at, data, &mut position)?;
    *at = position;
    Ok(Some(document))
}

const DOCUMENT: u8 = 0x03;
/// Type byte, a one-digit name, and the smallest document.
const SMALLEST_ELEMENT: usize = 8;
