"""createIndexes, dropIndexes, listIndexes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from bson.codec_options import CodecOptions
from bson.son import SON
from pymongo.common import validate_list
from pymongo.operations import IndexModel
from pymongo.read_preferences import ReadPreference

from ferromongo._calls.bases import CollectionBase
from ferromongo._calls.database import NAMESPACE_NOT_FOUND
from ferromongo._calls.openings import Opening, get_more_extras
from ferromongo._calls.scopes import LENIENT_OPTIONS, collection_scope_with, document_scope
from ferromongo._calls.sessions import collection_session
from ferromongo._calls.write_errors import checked_write_concern
from ferromongo._core import Pending
from ferromongo._pymongo_internals import index_name

OPTIONS: CodecOptions[SON[str, Any]] = CodecOptions(SON)
"""Key order is part of an index: SON says so, and it is what PyMongo returns."""


def create_indexes(
    collection: CollectionBase[Any],
    indexes: Sequence[IndexModel],
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Pending[list[str]]:
    validate_list("indexes", indexes)
    for index in indexes:
        if not isinstance(index, IndexModel):
            raise TypeError(f"{index!r} is not an IndexModel")
    documents = [index.document for index in indexes]
    names = [document["name"] for document in documents]
    command = {"createIndexes": collection._name, "indexes": documents, **options}
    if comment is not None:
        command["comment"] = comment
    inside = collection_session(session, collection)
    scope = collection_scope_with(collection, LENIENT_OPTIONS, ReadPreference.PRIMARY)
    return scope.write(command, inside, False, partial(_checked, names))


def create_index(
    collection: CollectionBase[Any], keys: Any, session: Any, comment: Any, options: dict[str, Any]
) -> Pending[list[str]]:
    # maxTimeMS belongs to the command, everything else to the index.
    outer = {"maxTimeMS": options.pop("maxTimeMS")} if "maxTimeMS" in options else {}
    index = IndexModel(keys, **options)
    return create_indexes(collection, [index], session, comment, outer)


def drop_index(
    collection: CollectionBase[Any],
    index_or_name: Any,
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Pending[None]:
    name = index_name(index_or_name) if isinstance(index_or_name, list) else index_or_name
    if not isinstance(name, str):
        raise TypeError(f"index_or_name must be an instance of str or list, not {type(name)}")
    command = {"dropIndexes": collection._name, "index": name, **options}
    if comment is not None:
        command["comment"] = comment
    inside = collection_session(session, collection)
    scope = document_scope(collection)
    return scope.write(command, inside, False, partial(_checked, None), NAMESPACE_NOT_FOUND)


def _checked(result: Any, reply: dict[str, Any]) -> Any:
    checked_write_concern(reply)
    return result


def list_indexes(collection: CollectionBase[Any], session: Any, comment: Any) -> Opening:
    command: dict[str, Any] = {"listIndexes": collection._name, "cursor": {}}
    if comment is not None:
        command["comment"] = comment
    scope = collection_scope_with(collection, OPTIONS, ReadPreference.PRIMARY)
    inside = collection_session(session, collection)
    return Opening(scope, command, inside, get_more=get_more_extras(comment, None))


def index_information(indexes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Index documents by name, keys as a list of pairs."""
    information = {}
    for index in indexes:
        details = {**index, "key": list(index["key"].items())}
        information[details.pop("name")] = details
    return information
