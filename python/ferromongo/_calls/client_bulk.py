"""`MongoClient.bulk_write`: operations on several collections, and what came of each batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.common import (
    validate_is_document_type,
    validate_list,
)
from pymongo.errors import (
    ClientBulkWriteException,
    ConfigurationError,
    InvalidOperation,
)
from pymongo.results import ClientBulkWriteResult, DeleteResult, InsertOneResult, UpdateResult
from pymongo.write_concern import WriteConcern

from ferromongo._calls.bases import ClientBase
from ferromongo._calls.bulk import add_requests, check_unacknowledged
from ferromongo._calls.change_checks import check_replacement, check_update
from ferromongo._calls.scopes import make_scope, reply_options
from ferromongo._calls.sessions import core_session
from ferromongo._calls.write_errors import raise_not_retryable
from ferromongo._core import Pending


def bulk_write(
    client: ClientBase,
    models: Sequence[Any],
    session: Any,
    ordered: bool,
    verbose: bool,
    bypass: bool | None,
    comment: Any,
    let: Mapping[str, Any] | None,
    write_concern: WriteConcern | None,
) -> Pending[ClientBulkWriteResult]:
    inside = core_session(session, client)
    in_transaction = inside is not None and inside.in_transaction
    if in_transaction and write_concern:
        raise InvalidOperation("a write concern cannot be set inside a transaction")
    concern = write_concern or client._write_concern
    acknowledged = in_transaction or concern.acknowledged
    if not acknowledged and (verbose or ordered):
        what = "verbose results" if verbose else "ordered writes"
        raise InvalidOperation(f"an unacknowledged write concern and {what} exclude each other")
    validate_list("models", models)
    if let is not None:
        validate_is_document_type("let", let)
    operations = Operations()
    add_requests(models, lambda model: model._add_to_client_bulk(operations))
    if not acknowledged:
        if inside is not None:
            raise ConfigurationError("an explicit session needs an acknowledged write concern")
        check_unacknowledged(operations.options, bypass is not None)
    command: dict[str, Any] = {
        "bulkWrite": 1,
        "errorsOnly": not verbose,
        "ordered": ordered,
    }
    if bypass is not None:
        command["bypassDocumentValidation"] = bypass
    if comment:
        command["comment"] = comment
    if let:
        command["let"] = let

    def done(
        totals: dict[str, Any], results: list[tuple[int, dict[str, Any]]], unread: Exception | None
    ) -> ClientBulkWriteResult:
        if not acknowledged:
            return ClientBulkWriteResult(None, False, False)  # type: ignore[arg-type]
        if unread is not None:
            totals["error"] = _of_cursor(unread)
        totals.update(_result_objects(operations.all, results))
        _raise_errors(totals, operations.all, verbose)
        return ClientBulkWriteResult(totals, True, verbose)

    options = reply_options(client._codec_options)
    scope = make_scope(client, "admin", codec_options=options, write_concern=concern)
    return scope.client_bulk_write(
        command,
        operations.all,
        inside,
        bool(ordered),
        bool(verbose),
        acknowledged and not operations.any_multi,
        done,
    )


class Operations:
    """The operations of a bulk write: the kind, the namespace and the document of each.

    The methods are those that PyMongo's request objects call, each with its own fields. The engine
    puts the number of the namespace into a document's first field, and makes missing `_id`s.
    """

    def __init__(self) -> None:
        self.all: list[tuple[str, str, dict[str, Any]]] = []
        self.options: set[str] = set()
        self.any_multi = False

    def add_insert(self, namespace: str, document: Any) -> None:
        validate_is_document_type("document", document)
        self.all.append(("insert", namespace, {"insert": -1, "document": document}))

    def add_update(
        self,
        namespace: str,
        selector: Any,
        update: Any,
        multi: bool,
        upsert: bool | None = None,
        **options: Any,
    ) -> None:
        check_update(update)
        self._add_update("update", namespace, selector, update, multi, upsert=upsert, **options)

    def add_replace(
        self,
        namespace: str,
        selector: Any,
        replacement: Any,
        upsert: bool | None = None,
        **options: Any,
    ) -> None:
        check_replacement(replacement)
        self._add_update(
            "replace", namespace, selector, replacement, False, upsert=upsert, **options
        )

    def add_delete(self, namespace: str, selector: Any, multi: bool, **options: Any) -> None:
        document = {"delete": -1, "filter": selector, "multi": multi}
        self._add("delete", namespace, document, options)

    def _add_update(
        self, kind: str, namespace: str, selector: Any, change: Any, multi: bool, **options: Any
    ) -> None:
        document = {"update": -1, "filter": selector, "updateMods": change, "multi": multi}
        self._add(kind, namespace, document, options)

    def _add(
        self, kind: str, namespace: str, document: dict[str, Any], options: dict[str, Any]
    ) -> None:
        self.any_multi |= document["multi"]
        for name, value in options.items():
            if value is not None:
                field = "arrayFilters" if name == "array_filters" else name
                document[field] = value
                self.options.add(field)
        self.all.append((kind, namespace, document))


def _result_objects(
    operations: list[tuple[str, str, dict[str, Any]]], results: list[tuple[int, dict[str, Any]]]
) -> dict[str, dict[int, Any]]:
    """The result of each operation that has not failed, by its position."""
    inserted: dict[int, Any] = {}
    updated: dict[int, Any] = {}
    deleted: dict[int, Any] = {}
    for position, result in results:
        kind, _, operation = operations[position]
        if kind == "insert":
            inserted[position] = InsertOneResult(operation["document"]["_id"], True)
        elif kind == "delete":
            deleted[position] = DeleteResult(result, True)
        else:
            updated[position] = UpdateResult(result, True, in_client_bulk=True)
    return {"insertResults": inserted, "updateResults": updated, "deleteResults": deleted}


def _raise_errors(
    totals: dict[str, Any], operations: list[tuple[str, str, dict[str, Any]]], verbose: bool
) -> None:
    error = totals["error"]
    failed = totals["writeErrors"]
    if not (error or failed or totals["writeConcernErrors"]):
        return
    for one in failed:
        one["op"] = operations[one["idx"]][2]
    failed.sort(key=lambda one: one["idx"])
    if failed:
        raise_not_retryable(failed[0], totals)
    cause = error if isinstance(error, BaseException) else None
    raise ClientBulkWriteException(totals, verbose) from cause


def _of_cursor(error: Exception) -> dict[str, Any]:
    """What PyMongo tells of an error while results were read."""
    code = getattr(error, "code", None)
    return {"errmsg": str(error), "code": code, "errtype": type(error).__name__}
