"""`MongoClient.bulk_write`: operations on several collections, and what came of each batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.common import (
    validate_is_document_type,
    validate_list,
)
from pymongo.errors import (
    ClientBulkWriteException,
    ConfigurationError,
    InvalidOperation,
)
from pymongo.read_concern import DEFAULT_READ_CONCERN
from pymongo.read_preferences import ReadPreference
from pymongo.results import ClientBulkWriteResult, DeleteResult, InsertOneResult, UpdateResult
from pymongo.write_concern import WriteConcern

from ferromongo._calls.bases import ClientBase
from ferromongo._calls.bulk import add_requests, check_unacknowledged
from ferromongo._calls.change_checks import check_replacement, check_update
from ferromongo._calls.sessions import core_session
from ferromongo._core import Pending, Scope


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
    totals = Totals(operations, ordered, verbose)

    def done() -> ClientBulkWriteResult:
        if not acknowledged:
            return ClientBulkWriteResult(None, False, False)  # type: ignore[arg-type]
        totals.raise_errors()
        return ClientBulkWriteResult(totals.document, True, verbose)

    client._used = True
    scope = Scope(
        client._core,
        "admin",
        client._codec_options._replace(document_class=dict, unicode_decode_error_handler="replace"),
        ReadPreference.PRIMARY,
        concern,
        DEFAULT_READ_CONCERN,
    )
    return scope.client_bulk_write(
        command,
        operations.all,
        inside,
        acknowledged and not operations.any_multi,
        InvalidOperation("MongoClient.bulk_write needs MongoDB 8.0 or later"),
        totals.note,
        done,
    )


class Operations:
    """The operations of a bulk write: the kind, the namespace and the document of each.

    The methods are those that PyMongo's request objects call, each with its own fields. The engine
    puts the number of the namespace into a document's first field.
    """

    def __init__(self) -> None:
        self.all: list[tuple[str, str, dict[str, Any]]] = []
        self.options: set[str] = set()
        self.any_multi = False

    def add_insert(self, namespace: str, document: Any) -> None:
        validate_is_document_type("document", document)
        if not isinstance(document, RawBSONDocument) and "_id" not in document:
            document["_id"] = ObjectId()
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


class Totals:
    """PyMongo's `bulk_api_result` of a client's bulk write, made batch by batch."""

    def __init__(self, operations: Operations, ordered: bool, verbose: bool) -> None:
        self.operations = operations.all
        self.ordered = ordered
        self.verbose = verbose
        self.document: dict[str, Any] = {
            "anySuccessful": False,
            "error": None,
            "writeErrors": [],
            "writeConcernErrors": [],
            **dict.fromkeys(_COUNTS, 0),
            "insertResults": {},
            "updateResults": {},
            "deleteResults": {},
        }

    def note(
        self,
        reply: dict[str, Any],
        error: Exception | None,
        results: list[dict[str, Any]],
        first: int,
        count: int,
    ) -> bool:
        """Take in a batch of `count` operations from `first` on; true to go on with the next.

        `error` is what kept the batch from being answered, or its results from being read.
        """
        document = self.document
        if reply.get("ok") and reply.get("nErrors", 0) < count:
            document["anySuccessful"] = True
        for result in results:
            self._note_result(result, result["idx"] + first)
        for name in _COUNTS:
            document[name] += reply.get(name, 0)
        concern = reply.get("writeConcernError")
        if concern:
            labels = reply.get("errorLabels")
            document["writeConcernErrors"].append(
                {**concern, "errorLabels": labels} if labels else concern
            )
        if error is not None:
            document["error"] = _of_cursor(error) if reply else error
            return False
        return not (self.ordered and document["writeErrors"])

    def _note_result(self, result: dict[str, Any], position: int) -> None:
        kind, _, operation = self.operations[position]
        if not result["ok"]:
            self.document["writeErrors"].append({**result, "idx": position, "op": operation})
        elif self.verbose:
            if kind == "insert":
                made: Any = InsertOneResult(operation["document"]["_id"], True)
            elif kind == "delete":
                made = DeleteResult(result, True)
            else:
                kind, made = "update", UpdateResult(result, True, in_client_bulk=True)
            self.document[f"{kind}Results"][position] = made

    def raise_errors(self) -> None:
        document = self.document
        error = document["error"]
        if error or document["writeErrors"] or document["writeConcernErrors"]:
            document["writeErrors"].sort(key=lambda failed: failed["idx"])
            cause = error if isinstance(error, BaseException) else None
            raise ClientBulkWriteException(document, self.verbose) from cause


def _of_cursor(error: Exception) -> dict[str, Any]:
    """What PyMongo tells of an error while results were read."""
    code = getattr(error, "code", None)
    return {"errmsg": str(error), "code": code, "errtype": type(error).__name__}


_COUNTS = ("nInserted", "nUpserted", "nMatched", "nModified", "nDeleted")
