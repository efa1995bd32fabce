"""Reads that answer a value rather than a cursor: counts and distinct."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pymongo.collation import validate_collation_or_none
from pymongo.errors import ConfigurationError

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.scopes import document_scope, reply_scope
from ferromongo._calls.sessions import collection_session
from ferromongo._core import Pending
from ferromongo._pymongo_internals import key_document


def count_documents(
    collection: CollectionBase[Any],
    filter: Mapping[str, Any],
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Pending[int]:
    pipeline: list[Mapping[str, Any]] = [{"$match": filter}]
    for option in ("skip", "limit"):
        if option in options:
            pipeline.append({f"${option}": options.pop(option)})
    pipeline.append({"$group": {"_id": 1, "n": {"$sum": 1}}})
    if comment is not None:
        options["comment"] = comment
    if "hint" in options and not isinstance(options["hint"], str):
        options["hint"] = key_document(options["hint"])
    command = {"aggregate": collection._name, "pipeline": pipeline, "cursor": {}, **options}
    _check_collation(command)
    inside = collection_session(session, collection)
    scope = reply_scope(collection)
    return scope.read(command, inside, then=_counted, allowed=_NAMESPACE_NOT_FOUND)


def estimated_document_count(
    collection: CollectionBase[Any], comment: Any, options: dict[str, Any]
) -> Pending[int]:
    if "session" in options:
        raise ConfigurationError("estimated_document_count does not support sessions")
    if comment is not None:
        options["comment"] = comment
    command = {"count": collection._name, **options}
    inside = collection_session(None, collection)
    return reply_scope(collection).read(command, inside, then=_n)


def distinct(
    collection: CollectionBase[Any],
    key: str,
    filter: Mapping[str, Any] | None,
    session: Any,
    comment: Any,
    hint: Any,
    options: dict[str, Any],
) -> Pending[list[Any]]:
    if not isinstance(key, str):
        raise TypeError(f"key must be an instance of str, not {type(key)}")
    if filter is not None:
        if "query" in options:
            raise ConfigurationError("filter and query are two names of the same argument")
        options["query"] = filter
    command = {"distinct": collection._name, "key": key, **options}
    if comment is not None:
        command["comment"] = comment
    if hint is not None:
        command["hint"] = hint if isinstance(hint, str) else key_document(hint)
    _check_collation(command)
    inside = collection_session(session, collection)
    return document_scope(collection).read(command, inside, then=_values, users="values")


def _check_collation(command: dict[str, Any]) -> None:
    collation = validate_collation_or_none(command.pop("collation", None))
    if collation is not None:
        command["collation"] = collation


def _counted(reply: Any) -> int:
    # Without a cursor the collection does not exist.
    batch = reply["cursor"]["firstBatch"] if "cursor" in reply else None
    return batch[0]["n"] if batch else 0


def _n(reply: Any) -> int:
    return int(reply["n"])


def _values(reply: Any) -> list[Any]:
    values: list[Any] = reply["values"]
    return values


_NAMESPACE_NOT_FOUND = (26,)
