//! Every Python name the engine looks up, in one list: the whole coupling to PyMongo and the standard library.
//! A name is imported at its first use and kept for the life of the process.

use super::once::Once;
use crate::codec;
use pyo3::prelude::*;
use pyo3::types::PyType;

/// One name of one Python module.
pub struct Import {
    module: &'static str,
    name: &'static str,
    object: Once<Py<PyAny>>,
}

impl Import {
    const fn new(module: &'static str, name: &'static str) -> Self {
        Import { module, name, object: Once::new() }
    }

    pub fn get<'py>(&'static self, py: Python<'py>) -> PyResult<&'py Bound<'py, PyAny>> {
        self.object
            .get_or_try_init(py, || {
                let module = codec::import(py, self.module)?;
                module.getattr(codec::intern(py, self.name)?).map(Bound::unbind)
            })
            .map(|object| object.bind(py))
    }

    pub fn class<'py>(&'static self, py: Python<'py>) -> PyResult<&'py Bound<'py, PyType>> {
        Ok(self.get(py)?.cast()?)
    }
}

macro_rules! imports {
    ($($constant:ident = $module:literal $name:literal;)*) => {
        $(pub static $constant: Import = Import::new($module, $name);)*
    };
}

imports! {
    BINARY = "bson.binary" "Binary";
    CODE = "bson.code" "Code";
    CODEC_OPTIONS = "bson.codec_options" "CodecOptions";
    DATETIME_MS = "bson.datetime_ms" "DatetimeMS";
    DB_REF = "bson.dbref" "DBRef";
    DECIMAL128 = "bson.decimal128" "Decimal128";
    INT64 = "bson.int64" "Int64";
    MAX_KEY = "bson.max_key" "MaxKey";
    MIN_KEY = "bson.min_key" "MinKey";
    OBJECT_ID = "bson.objectid" "ObjectId";
    RAW_DOCUMENT = "bson.raw_bson" "RawBSONDocument";
    REGEX = "bson.regex" "Regex";
    TIMESTAMP = "bson.timestamp" "Timestamp";
    BSON_UTC = "bson.tz_util" "utc";
    INVALID_BSON = "bson.errors" "InvalidBSON";
    INVALID_DOCUMENT = "bson.errors" "InvalidDocument";
    INVALID_STRING_DATA = "bson.errors" "InvalidStringData";

    MAPPING = "collections.abc" "Mapping";

    PATTERN = "re" "Pattern";
    URANDOM = "os" "urandom";

    SAFE_UUID = "uuid" "SafeUUID";
    UUID = "uuid" "UUID";

    DEFAULT_CODEC_OPTIONS = "bson.codec_options" "DEFAULT_CODEC_OPTIONS";

    AUTO_RECONNECT = "pymongo.errors" "AutoReconnect";
    CONFIGURATION_ERROR = "pymongo.errors" "ConfigurationError";
    CURSOR_NOT_FOUND = "pymongo.errors" "CursorNotFound";
    DOCUMENT_TOO_LARGE = "pymongo.errors" "DocumentTooLarge";
    DUPLICATE_KEY_ERROR = "pymongo.errors" "DuplicateKeyError";
    EXECUTION_TIMEOUT = "pymongo.errors" "ExecutionTimeout";
    INVALID_OPERATION = "pymongo.errors" "InvalidOperation";
    INVALID_URI = "pymongo.errors" "InvalidURI";
    NETWORK_TIMEOUT = "pymongo.errors" "NetworkTimeout";
    NOT_PRIMARY_ERROR = "pymongo.errors" "NotPrimaryError";
    OPERATION_FAILURE = "pymongo.errors" "OperationFailure";
    PROTOCOL_ERROR = "pymongo.errors" "ProtocolError";
    SERVER_SELECTION_TIMEOUT = "pymongo.errors" "ServerSelectionTimeoutError";
    WAIT_QUEUE_TIMEOUT = "pymongo.errors" "WaitQueueTimeoutError";
    WRITE_CONCERN_ERROR = "pymongo.errors" "WriteConcernError";
    WRITE_ERROR = "pymongo.errors" "WriteError";
    WTIMEOUT_ERROR = "pymongo.errors" "WTimeoutError";

    CORRUPT_GRID_FILE = "gridfs.errors" "CorruptGridFile";

    HELLO = "pymongo.hello" "Hello";
    SERVER_DESCRIPTION = "pymongo.server_description" "ServerDescription";
    TOPOLOGY_DESCRIPTION = "pymongo.topology_description" "TopologyDescription";

    SOCKET_MODULE = "socket" "__dict__";
    THREADING_MODULE = "threading" "__dict__";
    LOOK_FOR_HUB = "ferromongo._hubs" "look";

    DELIVER = "ferromongo._calls.listeners" "deliver";
    LOOK_AT_LOGGERS = "ferromongo._calls.listeners" "look_at_loggers";
    KNOWN_LEVELS = "ferromongo._calls.logs" "KNOWN_LEVELS";
    LEVELS_SEEN = "ferromongo._calls.logs" "LEVELS_SEEN";
    TRANSACTION_LOG_ERROR = "ferromongo._calls.transaction_errors" "TransactionLogError";
    TRANSACTION_ROLLED_BACK = "ferromongo._calls.transaction_errors" "TransactionRolledBack";
    MAKE_READ_PREFERENCE = "pymongo.read_preferences" "make_read_preference";
    ANY_SERVER_SELECTOR = "pymongo.server_selectors" "any_server_selector";
    WRITABLE_SERVER_SELECTOR = "pymongo.server_selectors" "writable_server_selector";
    CURRENT_TIMEOUT = "ferromongo._pymongo_internals" "current_timeout";
    CURRENT_DEADLINE = "ferromongo._pymongo_internals" "current_deadline";
    MONOTONIC = "time" "monotonic";

    CONTEXT = "contextvars" "Context";
    COPY_CONTEXT = "contextvars" "copy_context";

    CANCELLED_ERROR = "asyncio" "CancelledError";
    GET_RUNNING_LOOP = "asyncio" "get_running_loop";
    REGISTER_AT_FORK = "os" "register_at_fork";
    RUNNING_LOOP_OR_NONE = "asyncio" "_get_running_loop";

    SIMPLE_NAMESPACE = "types" "SimpleNamespace";
    WEAK_KEY_DICTIONARY = "weakref" "WeakKeyDictionary";
}
