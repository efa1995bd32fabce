"""The engine's scopes of databases and collections, made at first use and kept (of proxies not).

A collection has two: documents are decoded with its own codec options, replies to writes and
counts as plain dicts with undecodable text replaced, so that an error message always gets through.

Which command goes by whose options is PyMongo's. What is the server's own in a reply the engine
decodes without the user's type decoders, whatever the options are.
"""

from __future__ import annotations

from typing import Any

from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from pymongo.read_concern import DEFAULT_READ_CONCERN, ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import DEFAULT_WRITE_CONCERN, WriteConcern

from ferromongo._calls.bases import (
    ClientBase,
    CollectionBase,
    Configured,
    DatabaseBase,
    is_proxy,
)
from ferromongo._core import Scope

LENIENT_OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(unicode_decode_error_handler="replace")
"""For commands that create indexes: neither command nor reply has documents of the user's."""


def make_scope(
    client: ClientBase,
    database: str,
    *,
    codec_options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS,
    read_preference: Any = ReadPreference.PRIMARY,
    write_concern: WriteConcern = DEFAULT_WRITE_CONCERN,
    read_concern: ReadConcern = DEFAULT_READ_CONCERN,
) -> Scope:
    """A new scope, of the defaults where no other options are given."""
    client._used = True
    return Scope(
        client._core, database, codec_options, read_preference, write_concern, read_concern
    )


def reply_options(codec_options: CodecOptions[Any]) -> CodecOptions[Any]:
    """For replies that only this package looks at."""
    return codec_options._replace(unicode_decode_error_handler="replace", document_class=dict)


def document_scope(collection: CollectionBase[Any]) -> Scope:
    """For commands that return the collection's documents."""
    scopes = collection._scopes
    return (scopes or _make_collection_scopes(collection))[0]


def reply_scope(collection: CollectionBase[Any]) -> Scope:
    """For commands whose reply is only looked at by this package."""
    scopes = collection._scopes
    return (scopes or _make_collection_scopes(collection))[1]


def command_scope(database: DatabaseBase) -> Scope:
    """For `Database.command` and helpers: default codec options, primary, no read concern."""
    scope = database._command_scope
    if scope is None:
        scope = command_scope_with(database, DEFAULT_CODEC_OPTIONS)
        if not is_proxy(database._client):
            database._command_scope = scope
    return scope


def command_scope_with(
    database: DatabaseBase,
    codec_options: CodecOptions[Any],
    read_preference: Any = ReadPreference.PRIMARY,
) -> Scope:
    return make_scope(
        database._client,
        database._name,
        codec_options=codec_options,
        read_preference=read_preference,
        write_concern=database._write_concern,
    )


def database_scope(database: DatabaseBase) -> Scope:
    """For aggregates on the database itself: all its own options."""
    scope = database._own_scope
    if scope is None:
        scope = _own_scope(database, database, database._codec_options)
        if not is_proxy(database._client):
            database._own_scope = scope
    return scope


def collection_scope_with(
    collection: CollectionBase[Any],
    codec_options: CodecOptions[Any],
    read_preference: Any,
    write_concern: WriteConcern | None = None,
) -> Scope:
    """A one-off scope for helpers with options of their own."""
    database = collection._database
    return make_scope(
        database._client,
        database._name,
        codec_options=codec_options,
        read_preference=read_preference,
        write_concern=write_concern or collection._write_concern,
    )


def admin_scope(collection: CollectionBase[Any]) -> Scope:
    """For commands about a collection that the server takes in the admin database."""
    client = collection._database._client
    return make_scope(client, "admin", write_concern=collection._write_concern)


def _make_collection_scopes(collection: CollectionBase[Any]) -> tuple[Scope, Scope]:
    database = collection._database
    # `db.users.find_one()` makes a new Collection each time: as long as it takes its options from
    # the database, it takes the scopes from there too.
    shared = (
        collection._codec_options is database._codec_options
        and collection._read_preference is database._read_preference
        and collection._write_concern is database._write_concern
        and collection._read_concern is database._read_concern
    )
    scopes = database._collection_scopes if shared else None
    if scopes is None:
        codec_options = collection._codec_options
        scopes = (
            _own_scope(database, collection, codec_options),
            _own_scope(database, collection, reply_options(codec_options)),
        )
        if shared and not is_proxy(database._client):
            database._collection_scopes = scopes
    if not (is_proxy(database) or is_proxy(database._client)):
        collection._scopes = scopes
    return scopes


def _own_scope(
    database: DatabaseBase, owner: Configured, codec_options: CodecOptions[Any]
) -> Scope:
    """With the read preference and the concerns of `owner`."""
    return make_scope(
        database._client,
        database._name,
        codec_options=codec_options,
        read_preference=owner._read_preference,
        write_concern=owner._write_concern,
        read_concern=owner._read_concern,
    )
