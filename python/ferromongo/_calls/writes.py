"""insert, update, replace, delete: argument checks, the command, and the result object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.collation import validate_collation_or_none
from pymongo.common import (
    validate_is_document_type,
    validate_is_mapping,
    validate_list_or_none,
)
from pymongo.errors import ConfigurationError
from pymongo.results import DeleteResult, InsertManyResult, InsertOneResult, UpdateResult
from pymongo.write_concern import validate_boolean

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.bulk import check_unacknowledged
from ferromongo._calls.change_checks import check_replacement, check_update
from ferromongo._calls.scopes import reply_scope
from ferromongo._calls.sessions import collection_session, is_acknowledged
from ferromongo._calls.write_errors import raise_bulk_errors, raise_write_errors
from ferromongo._core import Pending, Session
from ferromongo._pymongo_internals import key_document


def insert_one(
    collection: CollectionBase[Any], document: Any, bypass: bool | None, session: Any, comment: Any
) -> Pending[InsertOneResult]:
    if type(document) is not dict:
        validate_is_document_type("document", document)
    inside = collection_session(session, collection)
    command: dict[str, Any] = {"insert": collection._name, "ordered": True}
    if comment is not None:
        command["comment"] = comment
    if bypass is not None:
        command["bypassDocumentValidation"] = bypass
    then = _inserted_one
    if not is_acknowledged(collection, inside):
        then = _sent_one
    elif isinstance(document, RawBSONDocument):
        then = _inserted_raw
    return reply_scope(collection).insert(command, [document], inside, then, True)


def insert_many(
    collection: CollectionBase[Any],
    documents: Iterable[Any],
    ordered: bool,
    bypass: bool | None,
    session: Any,
    comment: Any,
) -> Pending[InsertManyResult]:
    if not isinstance(documents, Iterable) or isinstance(documents, Mapping) or not documents:
        raise TypeError("documents must be a non-empty list")
    batch = documents if type(documents) is list else list(documents)
    # Looking at the types as a set keeps the common case, plain dicts, out of a Python loop.
    raw = False
    if set(map(type, batch)) != _PLAIN:
        for document in batch:
            validate_is_document_type("document", document)
            raw = raw or isinstance(document, RawBSONDocument)
        if not batch:
            raise TypeError("documents must be a non-empty list")
    inside = collection_session(session, collection)
    acknowledged = is_acknowledged(collection, inside)
    if not acknowledged:
        check_unacknowledged(set(), bool(bypass))
    command: dict[str, Any] = {"insert": collection._name, "ordered": ordered}
    if comment is not None:
        command["comment"] = comment
    if bypass is not None:
        command["bypassDocumentValidation"] = bypass

    def inserted(reply: Any, ids: list[Any]) -> InsertManyResult:
        if acknowledged:
            raise_bulk_errors(reply, batch)
        if raw:
            pairs = zip(ids, batch, strict=True)
            ids = [key for key, document in pairs if not isinstance(document, RawBSONDocument)]
        return InsertManyResult(ids, acknowledged)

    return reply_scope(collection).insert(command, batch, inside, inserted)


def update(
    collection: CollectionBase[Any],
    filter: Mapping[str, Any],
    change: Any,
    *,
    multi: bool = False,
    replaces: bool = False,
    upsert: bool,
    bypass: bool | None,
    collation: Any,
    array_filters: Any = None,
    hint: Any,
    session: Any,
    let: Any,
    sort: Any = None,
    comment: Any,
) -> Pending[UpdateResult]:
    validate_is_mapping("filter", filter)
    if replaces:
        check_replacement(change)
    else:
        check_update(change)
    validate_list_or_none("array_filters", array_filters)
    validate_boolean("upsert", upsert)
    inside = collection_session(session, collection)
    acknowledged = is_acknowledged(collection, inside)
    statement: dict[str, Any] = {"q": filter, "u": change, "multi": multi, "upsert": upsert}
    if collation is not None:
        _needs_answer(acknowledged, "a collation")
        statement["collation"] = validate_collation_or_none(collation)
    if array_filters is not None:
        _needs_answer(acknowledged, "array_filters")
        statement["arrayFilters"] = array_filters
    if hint is not None:
        statement["hint"] = hint if isinstance(hint, str) else key_document(hint)
    if sort is not None:
        validate_is_mapping("sort", sort)
        statement["sort"] = sort
    command: dict[str, Any] = {"update": collection._name, "ordered": True, "updates": [statement]}
    if let is not None:
        validate_is_mapping("let", let)
        command["let"] = let
    if comment is not None:
        command["comment"] = comment
    if bypass is not None:
        command["bypassDocumentValidation"] = bypass
    if sort is not None and not acknowledged:
        # A bulk write looks at the server's version before it sends anything.
        run = command, command.pop("updates"), range(1)
        return reply_scope(collection).bulk_write([run], inside, False, False, True, _sent_update)
    then = _updated if acknowledged else _sent_update
    return _write(collection, command, inside, acknowledged and not multi, then)


def delete(
    collection: CollectionBase[Any],
    filter: Mapping[str, Any],
    *,
    multi: bool,
    collation: Any,
    hint: Any,
    session: Any,
    let: Any,
    comment: Any,
) -> Pending[DeleteResult]:
    validate_is_mapping("filter", filter)
    inside = collection_session(session, collection)
    acknowledged = is_acknowledged(collection, inside)
    statement: dict[str, Any] = {"q": filter, "limit": 0 if multi else 1}
    if collation is not None:
        _needs_answer(acknowledged, "a collation")
        statement["collation"] = validate_collation_or_none(collation)
    if hint is not None:
        statement["hint"] = hint if isinstance(hint, str) else key_document(hint)
    command: dict[str, Any] = {"delete": collection._name, "ordered": True, "deletes": [statement]}
    if let is not None:
        validate_is_document_type("let", let)
        command["let"] = let
    if comment is not None:
        command["comment"] = comment
    then = _deleted if acknowledged else _sent_delete
    return _write(collection, command, inside, acknowledged and not multi, then)


def _write(
    collection: CollectionBase[Any],
    command: MutableMapping[str, Any],
    session: Session | None,
    retryable: bool,
    then: Callable[[Any], Any],
) -> Pending[Any]:
    return reply_scope(collection).write(command, session, retryable, then)


def _needs_answer(acknowledged: bool, what: str) -> None:
    if not acknowledged:
        raise ConfigurationError(f"an unacknowledged write does not support {what}")


def _inserted_one(reply: Any, ids: list[Any]) -> InsertOneResult:
    raise_write_errors(reply)
    return InsertOneResult(ids[0], True)


def _inserted_raw(reply: Any, ids: list[Any]) -> InsertOneResult:
    raise_write_errors(reply)
    return InsertOneResult(None, True)


def _sent_one(reply: Any, ids: list[Any]) -> InsertOneResult:
    return InsertOneResult(ids[0], False)


def _updated(reply: Any) -> UpdateResult:
    raise_write_errors(reply)
    upserted = reply.get("upserted")
    # `raw_result` looks as it did when getLastError answered: users read these two keys.
    reply["updatedExisting"] = bool(reply.get("n")) and not upserted
    if upserted:
        reply["upserted"] = upserted[0]["_id"]
    return UpdateResult(reply, True)


def _sent_update(reply: Any) -> UpdateResult:
    return UpdateResult(None, False)


def _deleted(reply: Any) -> DeleteResult:
    raise_write_errors(reply)
    return DeleteResult(reply, True)


def _sent_delete(reply: Any) -> DeleteResult:
    return DeleteResult(reply, False)


_PLAIN = {dict}
