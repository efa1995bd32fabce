"""The options of transactions as their callers give them, for type checkers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypedDict

from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._pymongo_internals import ServerMode


class BlockArguments(TypedDict, total=False):
    """Those of a block, which is not run again."""

    read_concern: ReadConcern | None
    write_concern: WriteConcern | None
    read_preference: ServerMode | None
    max_commit_time_ms: int | None
    timeout: float | None
    concurrency: Literal["wait", "error"]


class AtomicArguments(BlockArguments, total=False):
    """Those of `ferromongo.transaction.atomic`."""

    max_attempts: int | None
    on_retry: Callable[[int, Exception], Any] | None
    durable: bool
    savepoint: bool
