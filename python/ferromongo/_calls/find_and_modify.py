"""The `findAndModify` command behind find_one_and_delete, _replace and _update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.collation import validate_collation_or_none
from pymongo.common import (
    validate_is_mapping,
    validate_list_or_none,
)
from pymongo.errors import ConfigurationError
from pymongo.write_concern import validate_boolean

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.change_checks import check_replacement, check_update
from ferromongo._calls.scopes import document_scope
from ferromongo._calls.sessions import collection_session, is_acknowledged
from ferromongo._calls.write_errors import raise_write_errors
from ferromongo._core import Pending
from ferromongo._pymongo_internals import key_document, projection_document
from ferromongo.typings import DocumentType


def delete(
    collection: CollectionBase[DocumentType], filter: Any, **options: Any
) -> Pending[DocumentType | None]:
    return _find_and_modify(collection, filter, {"remove": True}, return_document=False, **options)


def replace(
    collection: CollectionBase[DocumentType], filter: Any, replacement: Any, **options: Any
) -> Pending[DocumentType | None]:
    check_replacement(replacement)
    return _find_and_modify(collection, filter, {"update": replacement}, **options)


def update(
    collection: CollectionBase[DocumentType], filter: Any, change: Any, **options: Any
) -> Pending[DocumentType | None]:
    check_update(change)
    validate_list_or_none("array_filters", options["array_filters"])
    return _find_and_modify(collection, filter, {"update": change}, **options)


def _find_and_modify(
    collection: CollectionBase[DocumentType],
    filter: Mapping[str, Any],
    action: Mapping[str, Any],
    *,
    projection: Any,
    sort: Any,
    return_document: bool,
    hint: Any,
    session: Any,
    let: Any,
    comment: Any,
    options: dict[str, Any],
    upsert: bool | None = None,
    array_filters: Any = None,
) -> Pending[DocumentType | None]:
    validate_is_mapping("filter", filter)
    if not isinstance(return_document, bool):
        raise TypeError(
            "return_document must be ReturnDocument.BEFORE or ReturnDocument.AFTER, not "
            f"{type(return_document)}"
        )
    inside = collection_session(session, collection)
    acknowledged = is_acknowledged(collection, inside)
    collation = validate_collation_or_none(options.pop("collation", None))
    command: dict[str, Any] = {
        "findAndModify": collection._name,
        "query": filter,
        "new": return_document,
    }
    if let is not None:
        validate_is_mapping("let", let)
        command["let"] = let
    command.update(options)
    command.update(action)
    if comment is not None:
        command["comment"] = comment
    if projection is not None:
        command["fields"] = projection_document(projection, "projection")
    if sort is not None:
        command["sort"] = key_document(sort)
    if upsert is not None:
        validate_boolean("upsert", upsert)
        command["upsert"] = upsert
    if array_filters is not None:
        if not acknowledged:
            raise ConfigurationError("an unacknowledged write does not support array_filters")
        command["arrayFilters"] = list(array_filters)
    if hint is not None:
        command["hint"] = hint if isinstance(hint, str) else key_document(hint)
    if collation is not None:
        command["collation"] = collation
    return document_scope(collection).write(command, inside, acknowledged, _value, users="value")


def _value(reply: Any) -> Any:
    raise_write_errors(reply)
    return reply.get("value")
