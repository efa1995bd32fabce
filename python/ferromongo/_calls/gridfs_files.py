"""GridFS's file documents: checks, defaults, look-ups, the attributes that show their fields."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NoReturn

import pymongo
from bson.objectid import ObjectId
from gridfs import DEFAULT_CHUNK_SIZE
from gridfs.errors import FileExists, NoFile
from pymongo import ASCENDING, DESCENDING
from pymongo.client_session_shared import SessionOptions
from pymongo.errors import ConfigurationError, InvalidOperation
from pymongo.write_concern import WriteConcern

from ferromongo._calls.atomic import OutsideTransaction, current_scope
from ferromongo._calls.bases import ClientBase, SessionBase, is_kind
from ferromongo._calls.context_changes import ContextChanges
from ferromongo._calls.sessions import AMBIENT, bound_session, used_by
from ferromongo._pymongo_internals import DEADLINE, TIMEOUT, current_timeout

FILES_INDEX = {"filename": ASCENDING, "uploadDate": ASCENDING}
CHUNKS_INDEX = {"files_id": ASCENDING, "n": ASCENDING}
MAX_TRANSACTION_BYTES = 32 << 20
CLEAN_UP_SECONDS = 10.0
UPLOAD_SESSION = SessionOptions(causal_consistency=False)

FileBase = io.IOBase
"""A synchronous GridOut is one of Python's files."""


class AsyncFileBase:
    """What an asynchronous one has of them."""

    closed = False


def check_no_transaction(session: Any) -> None:
    """Raise InvalidOperation in the transaction of a session, which an upload may not fit into.

    An `atomic` block takes what fits, as does a transaction that was admitted.
    """
    running = _used_session(session)
    if in_transaction(session) and not getattr(running, "_takes_files", False):
        raise InvalidOperation(
            "GridFS does not support multi-document transactions, unless its bucket is made with "
            "transactions=True"
        )


def admit(session: Any, allowed: bool) -> None:
    """Let the session's transactions have operations of GridFS from here on, then check that."""
    running = _used_session(session)
    if allowed and isinstance(running, SessionBase):
        running._takes_files = True
    check_no_transaction(session)


def in_transaction(session: Any) -> bool:
    """Whether operations that are given this session, or None, run in a session's transaction."""
    return bool(getattr(_used_session(session), "in_transaction", False))


def check_fits(session: Any, size: int) -> None:
    """Raise InvalidOperation for a file that is too large for a session's transaction.

    The server keeps what a transaction writes in its cache, for a minute at most. If that is too
    much it fails with TransactionTooLargeForCache; older ones report a write conflict, after which
    `with_transaction` would try again in vain. The smallest cache, 256 MB, has room for this much.
    """
    if size > MAX_TRANSACTION_BYTES and in_transaction(session):
        raise InvalidOperation(
            f"a file that is stored in a transaction may have {MAX_TRANSACTION_BYTES} bytes, this "
            f"one has at least {size}: store it before the transaction"
        )


def _used_session(session: Any) -> Any:
    return bound_session() if session is None else session


def outside_a_transaction(client: Any, session: Any) -> OutsideTransaction | None:
    """Where indexes are made, of the transaction or `atomic` block that an upload is part of."""
    if not isinstance(client, ClientBase):
        return None
    if in_transaction(session) or (session is None and current_scope(client) is not None):
        return OutsideTransaction(client)
    return None


def needs_session(client: Any, session: Any) -> bool:
    """Whether the writes of an upload would be in no session that the caller knows."""
    if session is not None or not isinstance(client, ClientBase):
        return False
    return used_by(client, AMBIENT.get()) is None


@contextmanager
def time_to_clean_up() -> Iterator[None]:
    """The commands in the block have a time limit of their own: the caller's may be over."""
    changes = ContextChanges()
    try:
        changes.set(TIMEOUT, CLEAN_UP_SECONDS)
        changes.set(DEADLINE, time.monotonic() + CLEAN_UP_SECONDS)
        yield
    finally:
        changes.undo()


def check_argument(name: str, owner: Any, kind: type) -> None:
    if not is_kind(owner, kind.__name__):
        raise TypeError(f"{name} must be an instance of {kind.__name__}, not {type(owner)}")


def check_acknowledged(write_concern: WriteConcern) -> None:
    """What nobody confirms cannot be told from a lost chunk."""
    if not write_concern.acknowledged:
        raise ConfigurationError(f"GridFS needs an acknowledged write concern: {write_concern!r}")


def without_type_registry(owner: Any, **options: Any) -> Any:
    """The database or collection as GridFS uses it: user's types have no place in its documents."""
    plain = owner.codec_options.with_options(type_registry=None)
    return owner.with_options(codec_options=plain, **options)


def time_limit(database: Any) -> float | None:
    """The client's timeoutMS in seconds. Other libraries' clients have databases of these names."""
    limit = database.client.options.timeout
    return limit if isinstance(limit, int | float) else None


def whole_operation(seconds: float | None) -> AbstractContextManager[None]:
    """Let the client's timeoutMS limit all commands in the block together, not each of them."""
    if seconds is None or current_timeout() is not None:
        return nullcontext()
    return pymongo.timeout(seconds)


def new_file(fields: dict[str, Any]) -> dict[str, Any]:
    """The document of a file to be written, from keyword arguments."""
    for alias, name in (("content_type", "contentType"), ("chunk_size", "chunkSize")):
        if alias in fields:
            fields[name] = fields.pop(alias)
    fields.setdefault("_id", ObjectId())
    size = fields.setdefault("chunkSize", DEFAULT_CHUNK_SIZE)
    if not isinstance(size, int):
        raise TypeError(f"chunk_size must be an instance of int, not {type(size)}")
    if size < 1:
        raise ValueError(f"chunk_size must be greater than 0, not {size}")
    return fields


def upload_fields(
    filename: str, chunk_size: int, metadata: Mapping[str, Any] | None
) -> dict[str, Any]:
    fields: dict[str, Any] = {"filename": filename, "chunk_size": chunk_size}
    if metadata is not None:
        fields["metadata"] = metadata
    return fields


def by_id(key: Any) -> dict[str, Any]:
    return {"_id": {"$eq": key}}


def chunks_of(key: Any) -> dict[str, Any]:
    return {"files_id": {"$eq": key}}


def by_document_or_id(given: Any) -> Any:
    """A filter as `find_one` and `exists` take it: anything but a mapping is an `_id`."""
    return given if given is None or isinstance(given, Mapping) else by_id(given)


def place_of_version(version: int) -> tuple[int, int]:
    """What to skip and how to sort for one of the files of a name: -1 the newest, 0 the oldest."""
    return (-version - 1, DESCENDING) if version < 0 else (version, ASCENDING)


def no_version(version: int, filename: str | None) -> NoFile:
    return NoFile(f"there is no version {version} of a file named {filename!r}")


def raise_file_exists(key: Any) -> NoReturn:
    raise FileExists(f"there is a file with the _id {key!r} already")


def written_field(
    field: str,
    text: str,
    *,
    settable: bool = False,
    closed_only: bool = False,
    deprecated: bool = False,
) -> Any:
    """A property of GridIn: a field of its file document."""
    warning = _deprecation("GridIn", field) if deprecated else None

    def read(self: Any) -> Any:
        if warning:
            warnings.warn(warning, DeprecationWarning, stacklevel=2)
        if closed_only and not self._closed:
            raise AttributeError(f"{field} is known when the file is closed")
        return _value(self._file, field)

    def write(self: Any, value: Any) -> None:
        if warning:
            warnings.warn(warning, DeprecationWarning, stacklevel=2)
        self._set_field(field, value)

    return WrittenField(field, read, write if settable else None, text)


class WrittenField(property):
    """It knows which field of the document it shows."""

    def __init__(self, field: str, read: Any, write: Any, text: str) -> None:
        super().__init__(read, write, doc=text)
        self.field = field


def assigned_field(kind: type, name: str) -> str:
    """The field that `file.name = ...` would set. Raises AttributeError if that is not allowed."""
    attribute = getattr(kind, name, None)
    if isinstance(attribute, property) and attribute.fset is None:
        raise AttributeError(f"{name} of a {kind.__name__} cannot be set")
    return attribute.field if isinstance(attribute, WrittenField) else name


def read_field(field: str, text: str, *, deprecated: bool = False) -> Any:
    """A property of GridOut: a field of its file document."""
    warning = _deprecation("GridOut", field) if deprecated else None

    def read(self: Any) -> Any:
        if warning:
            warnings.warn(warning, DeprecationWarning, stacklevel=2)
        return _value(self._document(field), field)

    return property(read, doc=text)


def _value(file: Mapping[str, Any], field: str) -> Any:
    # Some drivers once left the length of an empty file out.
    return file.get(field, 0 if field == "length" else None)


def _deprecation(kind: str, field: str) -> str:
    # Programs that expect it know it by its beginning.
    return f"{kind} property {field!r} is deprecated: PyMongo 5.0 will not have it"
