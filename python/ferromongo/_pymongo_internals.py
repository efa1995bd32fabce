"""The private names of PyMongo that ferromongo relies on, with the reason for each.

PyMongo's public modules are a dependency like any other; a name that starts with an underscore may
move in any release. Listed here they are easy to check when a new PyMongo comes out.
"""

from importlib import import_module

# What `pymongo.timeout` has set for the running code: seconds (None outside of it, 0 for no limit),
# and the earliest end of all such blocks around it, by `time.monotonic`.
from pymongo import client_session_shared as _client_session_shared
from pymongo._csot import DEADLINE as _DEADLINE
from pymongo._csot import TIMEOUT as _TIMEOUT

# Validation and merging of client options: their rules, defaults and texts are PyMongo's.
from pymongo.common import _CaseInsensitiveDictionary as CaseInsensitiveDictionary

# Key patterns (`sort`, `hint`, index keys) and projections as documents.
from pymongo.helpers_shared import _fields_list_to_dict as projection_document
from pymongo.helpers_shared import _gen_index_name as index_name
from pymongo.helpers_shared import _index_document as key_document
from pymongo.helpers_shared import _index_list as key_list

# What a log says where an event has only a code word.
from pymongo.logger import _verbose_connection_error_reason as verbose_reason

# The handshake's limit of 512 bytes, and whether the environment may fork under a client.
from pymongo.pool_options import _is_faas as is_faas
from pymongo.pool_options import _truncate_metadata as shorten_metadata

# Type of every read preference: the public `ReadPreference` is only a list of instances.
from pymongo.read_preferences import _ServerMode as ServerMode

# Hosts and options of mongodb+srv://, the rules for what a name server may answer included.
from pymongo.synchronous.srv_resolver import _SrvResolver as SrvResolver
from pymongo.synchronous.uri_parser import _parse_srv as parse_srv

# See the first. Of parse_uri there is a public form, but it parses twice and so warns twice.
from pymongo.uri_parser_shared import _check_options as check_option_conflicts
from pymongo.uri_parser_shared import _handle_option_deprecations as warn_of_deprecated_options
from pymongo.uri_parser_shared import _handle_security_options as normalize_security_options
from pymongo.uri_parser_shared import _normalize_options as normalize_option_names
from pymongo.uri_parser_shared import _validate_uri as parse_uri

# Besides these modules' names:
# * `PyMongoError._error_labels`, in with_transaction;
# * `PoolOptions._credentials`, in client_settings: what PyMongo makes of user and authSource;
# * `PoolOptions._ssl_context`, there too: whether the options, taken together, turn TLS on;
# * `PoolOptions._update_metadata`, in metadata: it knows the drivers named before;
# * `PoolOptions._event_listeners`, in listeners, and kept by clients: it makes events of what the
#   engine tells, and hands them to the listeners, given and global ones;
# * `InsertOne._add_to_bulk` and its like, in bulk: only the request objects of a bulk write know
#   what they are made of.

TIMEOUT = _TIMEOUT
DEADLINE = _DEADLINE
current_timeout = _TIMEOUT.get
current_deadline = _DEADLINE.get


def with_transaction_limit() -> float:
    """Seconds: looked up at each call, because programs patch it to try out what happens then."""
    return _client_session_shared._WITH_TRANSACTION_RETRY_TIME_LIMIT


def upload_limits(api: str) -> tuple[int, int]:
    """How many bytes and chunks GridFS gathers before it sends them; programs patch these, too."""
    module = import_module(f"gridfs.{api}.grid_file")
    return module._UPLOAD_BUFFER_SIZE, module._UPLOAD_BUFFER_CHUNKS


__all__ = [
    "DEADLINE",
    "TIMEOUT",
    "CaseInsensitiveDictionary",
    "ServerMode",
    "SrvResolver",
    "check_option_conflicts",
    "current_deadline",
    "current_timeout",
    "index_name",
    "is_faas",
    "key_document",
    "key_list",
    "normalize_option_names",
    "normalize_security_options",
    "parse_srv",
    "parse_uri",
    "projection_document",
    "shorten_metadata",
    "upload_limits",
    "verbose_reason",
    "warn_of_deprecated_options",
    "with_transaction_limit",
]
