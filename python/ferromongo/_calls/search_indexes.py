"""Search indexes (MongoDB Atlas, or a server with a search process): create, drop, update, list.

These commands carry neither the collection's concerns nor its codec options, as in PyMongo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from pymongo.operations import SearchIndexModel
from pymongo.read_concern import DEFAULT_READ_CONCERN
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from ferromongo._calls import aggregation
from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.database import NAMESPACE_NOT_FOUND
from ferromongo._calls.openings import Opening
from ferromongo._calls.scopes import LENIENT_OPTIONS, collection_scope_with
from ferromongo._calls.sessions import collection_session
from ferromongo._calls.write_errors import checked_write_concern
from ferromongo._core import Pending, Scope

OPTIONS: dict[str, Any] = {
    "codec_options": DEFAULT_CODEC_OPTIONS,
    "read_preference": ReadPreference.PRIMARY,
    "write_concern": WriteConcern(),
    "read_concern": DEFAULT_READ_CONCERN,
}
"""Of a list of search indexes."""


def create_search_indexes(
    collection: CollectionBase[Any],
    models: Sequence[SearchIndexModel],
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Pending[list[str]]:
    for model in models:
        if not isinstance(model, SearchIndexModel):
            raise TypeError(f"{model!r} is not a SearchIndexModel")
    documents = [model.document for model in models]
    command = {"createSearchIndexes": collection._name, "indexes": documents, **options}
    return _write(collection, command, session, comment, _names)


def create_search_index(
    collection: CollectionBase[Any],
    model: Mapping[str, Any] | SearchIndexModel,
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Pending[list[str]]:
    if not isinstance(model, SearchIndexModel):
        model = SearchIndexModel(**model)
    return create_search_indexes(collection, [model], session, comment, options)


def drop_search_index(
    collection: CollectionBase[Any],
    name: str,
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Pending[Any]:
    command = {"dropSearchIndex": collection._name, "name": name, **options}
    return _write(collection, command, session, comment, checked_write_concern, NAMESPACE_NOT_FOUND)


def update_search_index(
    collection: CollectionBase[Any],
    name: str,
    definition: Mapping[str, Any],
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Pending[Any]:
    command = {
        "updateSearchIndex": collection._name,
        "name": name,
        "definition": definition,
        **options,
    }
    return _write(collection, command, session, comment, checked_write_concern, NAMESPACE_NOT_FOUND)


def list_search_indexes(
    collection: CollectionBase[Any],
    name: str | None,
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Opening:
    stage = {"$listSearchIndexes": {} if name is None else {"name": name}}
    if comment is not None:
        options["comment"] = comment
    scope = _scope(collection)
    inside = collection_session(session, collection)
    return aggregation.opening(scope, collection._name, [stage], inside, options)


def _write(
    collection: CollectionBase[Any],
    command: dict[str, Any],
    session: Any,
    comment: Any,
    then: Any,
    allowed: Sequence[str | int] | None = None,
) -> Pending[Any]:
    if comment is not None:
        command["comment"] = comment
    inside = collection_session(session, collection)
    return _scope(collection, LENIENT_OPTIONS).write(command, inside, False, then, allowed)


def _scope(
    collection: CollectionBase[Any], options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS
) -> Scope:
    return collection_scope_with(collection, options, ReadPreference.PRIMARY, WriteConcern())


def _names(reply: Any) -> list[str]:
    checked_write_concern(reply)
    return [index["name"] for index in reply["indexesCreated"]]
