//! Core errors become PyMongo's exceptions here and nowhere else: class, code, details, labels.

use bson::RawDocument;
use pyo3::exceptions::{PyException, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyType};

use super::imports::{self, Import};
use super::once::name;
use crate::codec::{self, CodecSettings};
use crate::error::{Error, ErrorKind, MAX_TIME_EXPIRED, TRANSIENT_TRANSACTION};

pub fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error, None, false).unwrap_or_else(|while_raising| while_raising)
}

/// Of a command whose reply would have been decoded with these settings, and so its details are.
pub fn of_command(py: Python<'_>, error: &Error, codec: &CodecSettings) -> PyErr {
    exception(py, error, Some(codec), false).unwrap_or_else(|while_raising| while_raising)
}

/// If the command writes: when both it and its write concern failed, PyMongo raises the latter.
pub fn of_write(py: Python<'_>, error: &Error, codec: &CodecSettings) -> PyErr {
    exception(py, error, Some(codec), true).unwrap_or_else(|while_raising| while_raising)
}

fn exception(
    py: Python<'_>,
    error: &Error,
    codec: Option<&CodecSettings>,
    writes: bool,
) -> PyResult<PyErr> {
    if let Some(raised) = error.cause().and_then(|cause| cause.downcast_ref::<PyErr>()) {
        return Ok(raised.clone_ref(py));
    }
    let exception = match error.kind() {
        ErrorKind::InvalidValue => return Ok(PyValueError::new_err(error.message().to_owned())),
        ErrorKind::InUse => return Ok(PyRuntimeError::new_err(error.message().to_owned())),
        ErrorKind::Command { code } => of_reply(py, error, code, codec, writes)?,
        kind => class_of(kind).get(py)?.call1((error.message(),))?,
    };
    if matches!(error.kind(), ErrorKind::InvalidBson | ErrorKind::DocumentTooLarge) {
        return Ok(PyErr::from_value(exception)); // bson's classes have no labels
    }
    // PyMongo's own way to label an exception after it was made; the reply's labels are in already.
    for label in error.labels() {
        exception.call_method1(name!(py, "_add_error_label"), (label,))?;
    }
    if !error.has_label(TRANSIENT_TRANSACTION) {
        let remove = name!(py, "_remove_error_label");
        exception.call_method1(remove, (TRANSIENT_TRANSACTION,))?;
    }
    let exception = PyErr::from_value(exception);
    if let Some(earlier) = error.reason() {
        let earlier = self::exception(py, earlier, codec, false);
        exception.set_cause(py, Some(earlier.unwrap_or_else(|while_raising| while_raising)));
    }
    Ok(exception)
}

fn class_of(kind: ErrorKind) -> &'static Import {
    match kind {
        ErrorKind::ServerSelection => &imports::SERVER_SELECTION_TIMEOUT,
        ErrorKind::WaitQueueTimeout => &imports::WAIT_QUEUE_TIMEOUT,
        ErrorKind::Network | ErrorKind::PoolCleared => &imports::AUTO_RECONNECT,
        ErrorKind::NetworkTimeout => &imports::NETWORK_TIMEOUT,
        ErrorKind::Protocol => &imports::PROTOCOL_ERROR,
        ErrorKind::InvalidBson => &imports::INVALID_BSON,
        ErrorKind::InvalidOperation => &imports::INVALID_OPERATION,
        ErrorKind::DocumentTooLarge => &imports::DOCUMENT_TOO_LARGE,
        ErrorKind::Configuration => &imports::CONFIGURATION_ERROR,
        ErrorKind::InvalidUri => &imports::INVALID_URI,
        ErrorKind::RolledBack => &imports::TRANSACTION_ROLLED_BACK,
        ErrorKind::TransactionLog => &imports::TRANSACTION_LOG_ERROR,
        ErrorKind::CorruptFile => &imports::CORRUPT_GRID_FILE,
        ErrorKind::Command { .. }
        | ErrorKind::InvalidValue
        | ErrorKind::InUse
        | ErrorKind::Callback => &imports::OPERATION_FAILURE,
    }
}

fn of_reply<'py>(
    py: Python<'py>,
    error: &Error,
    code: i32,
    codec: Option<&CodecSettings>,
    writes: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(reply) = error.reply() else {
        return imports::OPERATION_FAILURE.get(py)?.call1((error.message(),));
    };
    let plain = decode_reply(py, reply)?;
    let labels = plain.call_method1(name!(py, "get"), (name!(py, "errorLabels"),))?;
    let details = if !labels.is_none() && labels.extract::<Vec<String>>().is_err() {
        // Those that are none would make PyMongo's exceptions fail.
        plain.set_item(name!(py, "errorLabels"), error.labels())?;
        plain.clone()
    } else {
        codec.map_or_else(|| Ok(plain.clone()), |codec| details(py, reply, codec, &plain))?
    };
    if error.is_state_change() {
        return imports::NOT_PRIMARY_ERROR.get(py)?.call1((error.message(), details));
    }
    let code_or_none = (code != 0).then_some(code);
    if let Some(class) = of_write_concern(&plain, writes)? {
        let concern = plain.get_item("writeConcernError")?;
        let field = |name: &str| concern.call_method1("get", (name,));
        let details = details_of_concern(&plain, &details)?;
        return class.call1((field("errmsg")?, field("code")?, details));
    }
    let class = match code {
        11000 | 11001 | 12582 => &imports::DUPLICATE_KEY_ERROR,
        MAX_TIME_EXPIRED => &imports::EXECUTION_TIMEOUT,
        43 => &imports::CURSOR_NOT_FOUND,
        _ if reply.get("index").is_ok_and(|index| index.is_some()) => &imports::WRITE_ERROR,
        _ => &imports::OPERATION_FAILURE,
    };
    class.get(py)?.call1((error.message(), code_or_none, details))
}

/// The `details` of an error, decoded with the user's document class and other options. If these cannot decode
/// the reply (a document class that raises), the error must still be raised.
fn details<'py>(
    py: Python<'py>,
    reply: &RawDocument,
    codec: &CodecSettings,
    plain: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    codec::decode_error_reply(py, reply.as_bytes(), codec).or_else(|error| {
        match error.is_instance_of::<PyException>(py) {
            true => Ok(plain.clone()),
            false => Err(error),
        }
    })
}

/// An error reply. The error must be raised in any case: text and dates that cannot be decoded are replaced.
pub fn decode_reply<'py>(py: Python<'py>, reply: &RawDocument) -> PyResult<Bound<'py, PyAny>> {
    let lenient = PyDict::new(py);
    lenient.set_item("unicode_decode_error_handler", "replace")?;
    lenient.set_item("datetime_conversion", DATETIME_AUTO)?;
    let options = imports::CODEC_OPTIONS.get(py)?.call((), Some(&lenient))?;
    codec::decode_document(py, reply.as_bytes(), &CodecSettings::from_python(&options)?)
}

/// The command worked, or at least should be told so, and its write concern did not hold.
fn of_write_concern<'py>(
    reply: &Bound<'py, PyAny>,
    although_failed: bool,
) -> PyResult<Option<&'py Bound<'py, PyType>>> {
    let field = |name: &str| reply.call_method1("get", (name,));
    let concern = field("writeConcernError")?;
    if concern.is_none() || !(although_failed || field("ok")?.is_truthy()?) {
        return Ok(None);
    }
    let timed_out = concern.call_method1("get", ("code",))?.eq(MAX_TIME_EXPIRED)?
        || match concern.call_method1("get", ("errInfo",))? {
            info if info.is_none() => false,
            info => info.call_method1("get", ("wtimeout",))?.is_truthy()?,
        };
    let class = match timed_out {
        true => &imports::WTIMEOUT_ERROR,
        false => &imports::WRITE_CONCERN_ERROR,
    };
    Ok(Some(class.class(reply.py())?))
}

/// The write concern error of the reply, with the labels of the reply added: taken from `details` if labels can
/// be added there, which is impossible in a raw document.
fn details_of_concern<'py>(
    plain: &Bound<'py, PyAny>,
    details: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let (key, labels_key) = ("writeConcernError", "errorLabels");
    let labels = plain.call_method1("get", (labels_key,))?;
    let concern = details.get_item(key)?;
    if !labels.is_truthy()? || concern.set_item(labels_key, &labels).is_ok() {
        return Ok(concern);
    }
    let concern = plain.get_item(key)?;
    concern.set_item(labels_key, labels)?;
    Ok(concern)
}

/// The value of `bson.codec_options.DatetimeConversion.DATETIME_AUTO`.
const DATETIME_AUTO: i64 = 4;
