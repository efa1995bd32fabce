//! Every Python name the engine looks up, in one list: the whole coupling to PyMongo and the standard library.
//! A name is imported at its first use and kept for the life of the process.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// One name of one Python module.
pub struct Import {
    module: &'static str,
    name: &'static str,
    object: PyOnceLock<Py<PyAny>>,
}

impl Import {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Import { module, name, object: PyOnceLock::new() }
    }

    pub fn get<'py>(&'static self, py: Python<'py>) -> PyResult<&'py Bound<'py, PyAny>> {
        self.object
            .get_or_try_init(py, || py.import(self.module)?.getattr(self.name).map(Bound::unbind))
            .map(|object| object.bind(py))
    }

    pub fn class<'py>(&'static self, py: Python<'py>) -> PyResult<&'py Bound<'py, PyType>> {
        Ok(self.get(py)?.cast()?)
    }
}

/// A Python string made once: attribute names and keys that the hot paths ask for.
pub use pyo3::intern as name;

pub static BINARY: Import = Import::new("bson.binary", "Binary");
pub static CODE: Import = Import::new("bson.code", "Code");
pub static CODEC_OPTIONS: Import = Import::new("bson.codec_options", "CodecOptions");
pub static DATETIME_MS: Import = Import::new("bson.datetime_ms", "DatetimeMS");
pub static DB_REF: Import = Import::new("bson.dbref", "DBRef");
pub static DECIMAL128: Import = Import::new("bson.decimal128", "Decimal128");
pub static INT64: Import = Import::new("bson.int64", "Int64");
pub static MAX_KEY: Import = Import::new("bson.max_key", "MaxKey");
pub static MIN_KEY: Import = Import::new("bson.min_key", "MinKey");
pub static OBJECT_ID: Import = Import::new("bson.objectid", "ObjectId");
pub static REGEX: Import = Import::new("bson.regex", "Regex");
pub static TIMESTAMP: Import = Import::new("bson.timestamp", "Timestamp");
pub static BSON_UTC: Import = Import::new("bson.tz_util", "utc");

pub static BSON_ERROR: Import = Import::new("bson.errors", "BSONError");
pub static INVALID_BSON: Import = Import::new("bson.errors", "InvalidBSON");
pub static INVALID_DOCUMENT: Import = Import::new("bson.errors", "InvalidDocument");
pub static INVALID_STRING_DATA: Import = Import::new("bson.errors", "InvalidStringData");

pub static MAPPING: Import = Import::new("collections.abc", "Mapping");
pub static PATTERN: Import = Import::new("re", "Pattern");
pub static SAFE_UUID: Import = Import::new("uuid", "SafeUUID");
pub static UUID: Import = Import::new("uuid", "UUID");

pub static DEFAULT_CODEC_OPTIONS: Import =
    Import::new("bson.codec_options", "DEFAULT_CODEC_OPTIONS");
/// A message may quote a key that the server has cut in the middle of a character.
pub static UNICODE_REPLACE_CODEC_OPTIONS: Import =
    Import::new("pymongo.message", "_UNICODE_REPLACE_CODEC_OPTIONS");
pub static AUTO_RECONNECT: Import = Import::new("pymongo.errors", "AutoReconnect");
pub static CONFIGURATION_ERROR: Import = Import::new("pymongo.errors", "ConfigurationError");
pub static CURSOR_NOT_FOUND: Import = Import::new("pymongo.errors", "CursorNotFound");
pub static DOCUMENT_TOO_LARGE: Import = Import::new("pymongo.errors", "DocumentTooLarge");
pub static DUPLICATE_KEY_ERROR: Import = Import::new("pymongo.errors", "DuplicateKeyError");
pub static EXECUTION_TIMEOUT: Import = Import::new("pymongo.errors", "ExecutionTimeout");
pub static INVALID_OPERATION: Import = Import::new("pymongo.errors", "InvalidOperation");
pub static NETWORK_TIMEOUT: Import = Import::new("pymongo.errors", "NetworkTimeout");
pub static NOT_PRIMARY_ERROR: Import = Import::new("pymongo.errors", "NotPrimaryError");
pub static OPERATION_FAILURE: Import = Import::new("pymongo.errors", "OperationFailure");
pub static PROTOCOL_ERROR: Import = Import::new("pymongo.errors", "ProtocolError");
pub static SERVER_SELECTION_TIMEOUT: Import =
    Import::new("pymongo.errors", "ServerSelectionTimeoutError");
pub static WAIT_QUEUE_TIMEOUT: Import = Import::new("pymongo.errors", "WaitQueueTimeoutError");
pub static WRITE_CONCERN_ERROR: Import = Import::new("pymongo.errors", "WriteConcernError");
pub static WTIMEOUT_ERROR: Import = Import::new("pymongo.errors", "WTimeoutError");
pub static CONTEXT: Import = Import::new("contextvars", "Context");
pub static GET_RUNNING_LOOP: Import = Import::new("asyncio", "get_running_loop");
pub static RUNNING_LOOP_OR_NONE: Import = Import::new("asyncio", "_get_running_loop");
pub static WEAK_KEY_DICTIONARY: Import = Import::new("weakref", "WeakKeyDictionary");
