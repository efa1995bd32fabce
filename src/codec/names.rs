//! The attribute names and keys that the hot paths ask for: Python strings made once, with the module, so that
//! asking for one never fails, whatever memory is left by then.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::PyString;

use super::object::intern;

/// One of `NAMES` as a Python string.
macro_rules! name {
    ($py:expr, $text:literal) => {{
        const PLACE: usize = $crate::codec::names::place($text);
        let py: ::pyo3::Python<'_> = $py;
        $crate::codec::names::made(py)[PLACE].bind(py)
    }};
}
pub(crate) use name;

pub fn make(py: Python<'_>) -> PyResult<()> {
    if MADE.get().is_none() {
        let made = NAMES.iter().map(|name| intern(py, name).map(Bound::unbind));
        let made = made.collect::<PyResult<Vec<_>>>()?;
        MADE.get_or_init(|| made);
    }
    Ok(())
}

#[inline]
pub fn made(py: Python<'_>) -> &'static [Py<PyString>] {
    match MADE.get() {
        Some(made) => made,
        None => make_late(py),
    }
}

/// For programs that use the codec without its module: the fuzz targets.
#[cold]
fn make_late(py: Python<'_>) -> &'static [Py<PyString>] {
    make(py).expect("there is memory at the start");
    MADE.get().expect("made above")
}

/// Found while compiling.
pub const fn place(text: &str) -> usize {
    let mut place = 0;
    while place < NAMES.len() {
        if same(NAMES[place].as_bytes(), text.as_bytes()) {
            return place;
        }
        place += 1;
    }
    panic!("list this name in src/codec/names.rs")
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

static MADE: OnceLock<Vec<Py<PyString>>> = OnceLock::new();

const NAMES: &[&str] = &[
    "$db",
    "$id",
    "$ref",
    "__await__",
    "__next__",
    "__origin__",
    "_add_error_label",
    "_asyncio_future_blocking",
    "_decoder_map",
    "_encoder_map",
    "_fallback_encoder",
    "_ferromongo_engine",
    "_following",
    "_id",
    "_shown_cursor",
    "_open",
    "_plain",
    "_remove_error_label",
    "_type_marker",
    "acknowledged",
    "add_done_callback",
    "as_doc",
    "astimezone",
    "bid",
    "binary",
    "call_soon",
    "call_soon_threadsafe",
    "cancel",
    "create_future",
    "datetime_conversion",
    "document",
    "document_class",
    "done",
    "driver_connection_id",
    "errorLabels",
    "flags",
    "get",
    "hedge",
    "inc",
    "int",
    "is_server_default",
    "is_server_side_error",
    "max_staleness",
    "mode",
    "nInserted",
    "nMatched",
    "nModified",
    "nRemoved",
    "nUpserted",
    "next",
    "ordered",
    "pattern",
    "raw",
    "remove_done_callback",
    "remove_reader",
    "remove_writer",
    "run",
    "run_in_executor",
    "scope",
    "server_connection_id",
    "set_exception",
    "set_result",
    "socket",
    "step",
    "subtype",
    "tag_sets",
    "tailable",
    "time",
    "type_registry",
    "tz_aware",
    "tzinfo",
    "unicode_decode_error_handler",
    "update",
    "upserted",
    "utcoffset",
    "uuid_representation",
    "wait",
    "with_options",
    "writeConcernErrors",
    "writeErrors",
];
