"""The `find` command: what a cursor was asked for, and `find_one`."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable, Mapping
from typing import Any

from bson.code import Code
from pymongo.collation import validate_collation_or_none
from pymongo.common import validate_is_document_type, validate_is_mapping
from pymongo.cursor import CursorType
from pymongo.errors import InvalidOperation
from pymongo.write_concern import validate_boolean

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.checks import check_int, check_int_or_none
from ferromongo._calls.openings import Opening, get_more_extras
from ferromongo._calls.scopes import document_scope
from ferromongo._calls.sessions import collection_session
from ferromongo._core import Pending
from ferromongo._pymongo_internals import key_document, key_list, projection_document
from ferromongo.typings import DocumentType


def find_one(
    collection: CollectionBase[DocumentType],
    filter: Any,
    args: tuple[Any, ...],
    kwargs: Any,
) -> Pending[DocumentType | None]:
    filter = as_query(filter) or {}
    if not args and not kwargs and "$query" not in filter:
        command: Mapping[str, Any] = {
            "find": collection._name,
            "filter": filter,
            "limit": 1,
            "singleBatch": True,
        }
        session = None
    else:
        session = kwargs.pop("session", None)
        query = FindQuery(filter, *args, **kwargs)
        query.set_limit(-1)
        command = query.command(collection._name)
    return document_scope(collection).find_one(command, collection_session(session, collection))


def show_arguments(find_one: Any, find: Any) -> None:
    """Have `inspect.signature`, and so notebooks and mocks, see those of `find` in `find_one`.

    It takes them as `*args` and `**kwargs`: without them, which is usual, it is the fast way.
    """
    returned = inspect.signature(find_one).return_annotation
    parameters = inspect.signature(find).parameters
    taken = [
        parameter.replace(annotation="Any | None") if name == "filter" else parameter
        for name, parameter in parameters.items()
    ]
    find_one.__signature__ = inspect.Signature(taken, return_annotation=returned)


def as_query(filter: Any) -> Mapping[str, Any] | None:
    """What is not a query is a value of `_id`."""
    if filter is None or type(filter) is dict or isinstance(filter, Mapping):
        return filter
    return {"_id": filter}


def opening(collection: CollectionBase[Any], query: FindQuery, session: Any) -> Opening | None:
    """The command a cursor starts with; None when a slice asked for nothing."""
    if query.empty:
        return None
    return Opening(
        document_scope(collection),
        query.command(collection._name),
        collection_session(session, collection),
        query.batch_size,
        max(query.limit, 0),
        get_more_extras(query.comment, query.max_await_time_ms),
        query.exhaust,
        read_ahead=query.read_ahead,
    )


def explain(collection: CollectionBase[Any], query: FindQuery, session: Any) -> Pending[Any]:
    asked = query.copy(deep=False)
    asked.limit = -abs(asked.limit)
    command = asked.command(collection._name)
    if level := collection._read_concern.document:
        command["readConcern"] = level
    inside = collection_session(session, collection)
    return document_scope(collection).read({"explain": command}, inside)


def distinct_options(query: FindQuery) -> dict[str, Any]:
    """What `Cursor.distinct` takes over from the cursor."""
    options: dict[str, Any] = {}
    if query.filter:
        options["query"] = query.filter
    if query.max_time_ms is not None:
        options["maxTimeMS"] = query.max_time_ms
    if query.comment:
        options["comment"] = query.comment
    if query.collation is not None:
        options["collation"] = query.collation
    return options


class FindQuery:
    """The checked arguments of a `find`, changed by the cursor's chain methods."""

    __slots__ = (
        "allow_disk_use",
        "batch_size",
        "collation",
        "comment",
        "empty",
        "filter",
        "flags",
        "hint",
        "let",
        "limit",
        "max",
        "max_await_time_ms",
        "max_scan",
        "max_time_ms",
        "min",
        "projection",
        "read_ahead",
        "return_key",
        "show_record_id",
        "skip",
        "snapshot",
        "sort",
    )

    def __init__(
        self,
        filter: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        cursor_type: int = CursorType.NON_TAILABLE,
        sort: Any = None,
        allow_partial_results: bool = False,
        oplog_replay: bool = False,
        batch_size: int = 0,
        collation: Any = None,
        hint: Any = None,
        max_scan: int | None = None,
        max_time_ms: int | None = None,
        max: Any = None,
        min: Any = None,
        return_key: bool | None = None,
        show_record_id: bool | None = None,
        snapshot: bool | None = None,
        comment: Any = None,
        allow_disk_use: bool | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> None:
        self.filter = filter or {}
        if type(self.filter) is not dict:
            validate_is_mapping("filter", self.filter)
        check_int("skip", skip)
        self.skip = skip
        check_int("limit", limit)
        self.limit = limit
        self.set_batch_size(batch_size)
        self.read_ahead = False
        self.flags = _flags(cursor_type, no_cursor_timeout, allow_partial_results, oplog_replay)
        self.projection = None
        if projection is not None:
            self.projection = projection_document(projection, "projection")
        if let is not None:
            validate_is_document_type("let", let)
        self.let = let
        self.sort = key_document(sort) if sort else None
        self.collation = validate_collation_or_none(collation) if collation is not None else None
        self.set_hint(hint)
        self.max_scan = max_scan
        self.max_time_ms = max_time_ms
        self.max = max
        self.min = min
        self.return_key = return_key
        self.show_record_id = show_record_id
        self.snapshot = snapshot
        self.comment = comment
        if allow_disk_use is not None:
            validate_boolean("allow_disk_use", allow_disk_use)
        self.allow_disk_use = allow_disk_use
        self.empty = False
        self.max_await_time_ms: int | None = None
        if self.limit and self.exhaust:
            raise _limited_exhaust()

    @property
    def exhaust(self) -> bool:
        return self.flags & CursorType.EXHAUST != 0

    def command(self, collection_name: str) -> dict[str, Any]:
        if (self.min or self.max) and not self.hint:
            raise InvalidOperation("min and max need a hint that names the index they are keys of")
        command: dict[str, Any] = {"find": collection_name, **_unwrapped(self.filter)}
        for attribute, name in _TRUE_ELEMENTS:
            if value := getattr(self, attribute):
                command[name] = value
        if self.max_time_ms is not None:
            command["maxTimeMS"] = self.max_time_ms
        for attribute, name in _GIVEN_ELEMENTS:
            if (value := getattr(self, attribute)) is not None:
                command[name] = value
        if self.projection:
            command["projection"] = self.projection
        if self.skip:
            command["skip"] = self.skip
        if self.limit:
            command["limit"] = abs(self.limit)
            if self.limit < 0:
                command["singleBatch"] = True
        if self.batch_size:
            # A first batch of exactly `limit` would leave a cursor open on the server for nothing.
            one_more = self.limit == self.batch_size
            command["batchSize"] = self.batch_size + 1 if one_more else self.batch_size
        if self.collation:
            command["collation"] = self.collation
        if self.allow_disk_use is not None:
            command["allowDiskUse"] = self.allow_disk_use
        if self.flags:
            for bit, name in _FLAG_ELEMENTS:
                if self.flags & bit:
                    command[name] = True
        return command

    def copy(self, deep: bool) -> FindQuery:
        """The same query; `deep` copies the documents in it too."""
        twin = object.__new__(FindQuery)
        for name in FindQuery.__slots__:
            value = getattr(self, name)
            setattr(twin, name, copy.deepcopy(value) if deep else value)
        return twin

    def set_batch_size(self, batch_size: int) -> None:
        check_int("batch_size", batch_size)
        if batch_size < 0:
            raise ValueError("batch_size must be >= 0")
        self.batch_size = batch_size

    def set_skip(self, skip: int) -> None:
        check_int("skip", skip)
        if skip < 0:
            raise ValueError("skip must be >= 0")
        self.skip = skip

    def set_limit(self, limit: int) -> None:
        check_int("limit", limit)
        if self.exhaust:
            raise _limited_exhaust()
        self.limit = limit
        self.empty = False

    def set_hint(self, hint: Any) -> None:
        self.hint = hint if hint is None or isinstance(hint, str) else key_document(hint)

    def set_sort(self, key_or_list: Any, direction: Any) -> None:
        self.sort = key_document(key_list(key_or_list, direction))

    def set_bound(self, name: str, keys: Any) -> None:
        """`min` or `max`: (key, value) pairs in the order of an index."""
        if not isinstance(keys, (list, tuple)):
            raise TypeError(f"spec must be a list or tuple, not {type(keys)}")
        setattr(self, name, dict(keys))

    def set_max_time(self, milliseconds: int | None) -> None:
        check_int_or_none("max_time_ms", milliseconds)
        self.max_time_ms = milliseconds

    def set_max_await_time(self, milliseconds: int | None) -> None:
        check_int_or_none("max_await_time_ms", milliseconds)
        # Only such cursors wait on the server; for others PyMongo ignores it too.
        if self.flags & CursorType.TAILABLE_AWAIT == CursorType.TAILABLE_AWAIT:
            self.max_await_time_ms = milliseconds

    def add_where(self, code: str | Code) -> None:
        if not isinstance(code, Code):
            code = Code(code)
        self.filter = {**self.filter, "$where": code}

    def add_flags(self, mask: int) -> None:
        check_int("mask", mask)
        if mask & CursorType.EXHAUST and self.limit:
            raise _limited_exhaust()
        self.flags |= mask

    def remove_flags(self, mask: int) -> None:
        check_int("mask", mask)
        self.flags &= ~mask

    def slice(self, part: slice) -> None:
        """`cursor[2:5]`: skip and limit in one."""
        start = part.start or 0
        if part.step is not None:
            raise IndexError("a cursor cannot be sliced with a step")
        if start < 0:
            raise IndexError("a cursor cannot count from its end")
        limit = 0
        if part.stop is not None:
            limit = part.stop - start
            if limit < 0:
                raise IndexError(f"the stop of a cursor's slice lies before its start: {part!r}")
        self.skip, self.limit = start, limit
        self.empty = part.stop is not None and limit == 0

    def place(self, index: int) -> int:
        """How many documents to skip for `cursor[index]`."""
        if not isinstance(index, int):
            raise TypeError(f"a cursor's index must be an int or a slice, not {type(index)}")
        if index < 0:
            raise IndexError("a cursor cannot count from its end")
        return index + self.skip

    def take_one(self) -> None:
        """A document by its index is there, or it is not: an empty slice or a tail is none."""
        self.empty = False
        self.flags &= ~CursorType.TAILABLE_AWAIT


def _limited_exhaust() -> InvalidOperation:
    return InvalidOperation("an exhaust cursor cannot have a limit")


def _flags(
    cursor_type: int, no_cursor_timeout: bool, allow_partial_results: bool, oplog_replay: bool
) -> int:
    if cursor_type not in _CURSOR_TYPES:
        raise ValueError(f"not a cursor type: {cursor_type!r}")
    flags = cursor_type
    for name, value, bit in (
        ("no_cursor_timeout", no_cursor_timeout, _NO_TIMEOUT),
        ("allow_partial_results", allow_partial_results, _PARTIAL),
        ("oplog_replay", oplog_replay, _OPLOG_REPLAY),
    ):
        if value is not False:
            validate_boolean(name, value)
            flags |= bit
    return flags


def _unwrapped(filter: Mapping[str, Any]) -> dict[str, Any]:
    """The filter, which may come in the old way: as `$query`, with modifiers beside it."""
    if "$query" not in filter:
        return {"filter": filter}
    return {
        _MODIFIERS.get(name, name): filter[name] for name in filter if name != "$readPreference"
    }


_CURSOR_TYPES = (
    CursorType.NON_TAILABLE,
    CursorType.TAILABLE,
    CursorType.TAILABLE_AWAIT,
    CursorType.EXHAUST,
)

# The bits of the old OP_QUERY message live on in `add_option`; each is an element of `find` now.
_OPLOG_REPLAY = 8
_NO_TIMEOUT = 16
_PARTIAL = 128
_FLAG_ELEMENTS = (
    (CursorType.TAILABLE, "tailable"),
    (_OPLOG_REPLAY, "oplogReplay"),
    (_NO_TIMEOUT, "noCursorTimeout"),
    (CursorType.TAILABLE_AWAIT & ~CursorType.TAILABLE, "awaitData"),
    (_PARTIAL, "allowPartialResults"),
)


_MODIFIERS = {
    "$query": "filter",
    "$orderby": "sort",
    "$showDiskLoc": "showRecordId",
    **{
        f"${name}": name
        for name in (
            "comment",
            "hint",
            "max",
            "maxScan",
            "maxTimeMS",
            "min",
            "returnKey",
            "showRecordId",
            "snapshot",
        )
    },
}

# In the order PyMongo sends them: these when they hold something, those when they were given.
_TRUE_ELEMENTS = (
    ("sort", "sort"),
    ("hint", "hint"),
    ("let", "let"),
    ("comment", "comment"),
    ("max_scan", "maxScan"),
    ("max", "max"),
    ("min", "min"),
)
_GIVEN_ELEMENTS = (
    ("return_key", "returnKey"),
    ("show_record_id", "showRecordId"),
    ("snapshot", "snapshot"),
)
