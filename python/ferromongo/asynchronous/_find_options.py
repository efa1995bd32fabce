"""What `find_one` takes by name beside its filter, for type checkers: the arguments of `find`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from ferromongo.typings import CollationIn, Hint, KeyPattern

if TYPE_CHECKING:
    from ferromongo.asynchronous.client_session import AsyncClientSession


class AsyncFindOptions(TypedDict, total=False):
    projection: Mapping[str, Any] | Iterable[str] | None
    skip: int
    limit: int
    no_cursor_timeout: bool
    cursor_type: int
    sort: KeyPattern | None
    allow_partial_results: bool
    oplog_replay: bool
    batch_size: int
    collation: CollationIn | None
    hint: Hint | None
    max_scan: int | None
    max_time_ms: int | None
    max: KeyPattern | None
    min: KeyPattern | None
    return_key: bool | None
    show_record_id: bool | None
    snapshot: bool | None
    comment: Any | None
    session: AsyncClientSession | None
    allow_disk_use: bool | None
    let: Mapping[str, Any] | None


class AsyncFileFindOptions(TypedDict, total=False):
    """Of `find_one` of a GridFS; `session` is a parameter of its own."""

    skip: int
    limit: int
    no_cursor_timeout: bool
    sort: Any | None
    batch_size: int
