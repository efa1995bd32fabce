"""`Collection.bulk_write`: from PyMongo's request objects to runs of statements, and the result.

What may go with one command makes a run: neighbours of the same kind if the order counts, else all
of a kind. The engine cuts runs into batches by the server's limits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import methodcaller
from typing import Any

from pymongo.common import (
    validate_is_document_type,
    validate_list,
)
from pymongo.errors import ConfigurationError, InvalidOperation, OperationFailure
from pymongo.results import BulkWriteResult

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.change_checks import check_replacement, check_update
from ferromongo._calls.scopes import reply_scope
from ferromongo._calls.sessions import collection_session, is_acknowledged
from ferromongo._calls.write_errors import raise_bulk_errors
from ferromongo._core import Pending


def bulk_write(
    collection: CollectionBase[Any],
    requests: Sequence[Any],
    ordered: bool,
    bypass: bool | None,
    session: Any,
    comment: Any,
    let: Mapping[str, Any] | None,
) -> Pending[BulkWriteResult]:
    validate_list("requests", requests)
    if let is not None:
        validate_is_document_type("let", let)
    statements = Statements()
    add_requests(requests, methodcaller("_add_to_bulk", statements))
    inside = collection_session(session, collection)
    acknowledged = is_acknowledged(collection, inside)
    if not acknowledged:
        check_unacknowledged(statements.options, bool(bypass))
    # An older server's error would not be received with `w=0`.
    needs_8 = not acknowledged and "sort" in statements.options
    runs = _consecutive(statements.kinds) if ordered else _by_kind(statements.kinds)
    options: dict[str, Any] = {}
    if acknowledged or ordered:
        if comment:
            options["comment"] = comment
        if bypass is not None:
            options["bypassDocumentValidation"] = bypass

    def parts(run: range | list[int]) -> tuple[Mapping[str, Any], list[Any], range | list[int]]:
        kind = statements.kinds[run[0]]
        command = {kind: collection._name, "ordered": ordered, **options}
        if let is not None and kind != "insert" and (acknowledged or ordered):
            command["let"] = let
        if isinstance(run, range):
            return command, statements.all[run.start : run.stop], run
        return command, [statements.all[position] for position in run], run

    def done(totals: dict[str, Any]) -> BulkWriteResult:
        if not acknowledged:
            return BulkWriteResult({}, False)
        raise_bulk_errors(totals, statements.all)
        return BulkWriteResult(totals, True)

    retryable = not statements.any_multi
    return reply_scope(collection).bulk_write(
        map(parts, runs), inside, bool(ordered), retryable, needs_8, done
    )


def add_requests(requests: Sequence[Any], add: Callable[[Any], None]) -> None:
    """Have each request add itself; raises what PyMongo raises if there is none, or a wrong one."""
    for request in requests:
        try:
            add(request)
        except AttributeError:
            raise TypeError(f"{request!r} is not a valid request") from None
    if not requests:
        raise InvalidOperation("no operations to execute")


class Statements:
    """The statements of a bulk write, in the user's order.

    The methods are those that PyMongo's request objects call, each with its own fields.
    """

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.kinds: list[str] = []
        self.options: set[str] = set()
        """The optional fields that any statement has, as on the wire."""
        self.any_multi = False
        """A statement may change several documents: then nothing is retried, as in PyMongo."""

    def add_insert(self, document: Any) -> None:
        if type(document) is not dict:
            validate_is_document_type("document", document)
        self.all.append(document)
        self.kinds.append("insert")

    def add_update(
        self,
        selector: Any,
        update: Any,
        multi: bool,
        upsert: bool | None,
        collation: Any = None,
        array_filters: Any = None,
        hint: Any = None,
        sort: Any = None,
    ) -> None:
        check_update(update)
        self.any_multi |= multi
        statement = {"q": selector, "u": update, "multi": multi}
        self._add("update", statement, upsert, collation, array_filters, hint, sort)

    def add_replace(
        self,
        selector: Any,
        replacement: Any,
        upsert: bool | None,
        collation: Any = None,
        hint: Any = None,
        sort: Any = None,
    ) -> None:
        check_replacement(replacement)
        statement = {"q": selector, "u": replacement}
        self._add("update", statement, upsert, collation, None, hint, sort)

    def add_delete(
        self, selector: Any, limit: int, collation: Any = None, hint: Any = None
    ) -> None:
        self.any_multi |= limit == 0
        self._add("delete", {"q": selector, "limit": limit}, None, collation, None, hint, None)

    def _add(
        self,
        kind: str,
        statement: dict[str, Any],
        upsert: bool | None,
        collation: Any,
        array_filters: Any,
        hint: Any,
        sort: Any,
    ) -> None:
        if upsert is not None:
            statement["upsert"] = upsert
        # Thousands of statements come this way, and hardly one has such an option.
        if not (collation is None and array_filters is None and hint is None and sort is None):
            options = zip(_OPTIONS, (collation, array_filters, hint, sort), strict=True)
            given = {name: value for name, value in options if value is not None}
            statement.update(given)
            self.options.update(given)
        self.all.append(statement)
        self.kinds.append(kind)


def check_unacknowledged(options: set[str], bypass: bool) -> None:
    """Raise for what the server could only refuse in an answer that nobody will hear."""
    for field in ("collation", "arrayFilters"):
        if field in options:
            raise ConfigurationError(f"an unacknowledged write does not support {field}")
    if bypass:
        raise OperationFailure(
            "an unacknowledged write does not support bypass_document_validation"
        )


def _consecutive(kinds: list[str]) -> list[range]:
    starts = [at for at, kind in enumerate(kinds) if at == 0 or kind != kinds[at - 1]]
    ends = [*starts[1:], len(kinds)]
    return [range(start, end) for start, end in zip(starts, ends, strict=True)]


def _by_kind(kinds: list[str]) -> list[list[int]]:
    runs: dict[str, list[int]] = {"insert": [], "update": [], "delete": []}
    for position, kind in enumerate(kinds):
        runs[kind].append(position)
    return [run for run in runs.values() if run]


_OPTIONS = ("collation", "arrayFilters", "hint", "sort")
