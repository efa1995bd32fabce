"""Commands of a database: run any command, list, create and drop collections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bson.codec_options import DEFAULT_CODEC_OPTIONS, CodecOptions
from bson.dbref import DBRef
from pymongo.collation import validate_collation_or_none
from pymongo.common import validate_is_mapping
from pymongo.errors import CollectionInvalid
from pymongo.write_concern import WriteConcern

from ferromongo._calls.bases import (
    CollectionBase,
    DatabaseBase,
    check_codec_options,
    check_collection_name,
)
from ferromongo._calls.checks import check_int_or_none
from ferromongo._calls.missing import not_yet
from ferromongo._calls.openings import Opening, get_more_extras
from ferromongo._calls.scopes import (
    admin_scope,
    command_scope,
    command_scope_with,
    document_scope,
)
from ferromongo._calls.sessions import command_preference, core_session
from ferromongo._calls.write_errors import checked_write_concern
from ferromongo._core import Pending
from ferromongo._pymongo_internals import ServerMode

NAMESPACE_NOT_FOUND: Sequence[str | int] = ("ns not found", 26)
"""Dropping what does not exist is a success."""


def command(
    database: DatabaseBase,
    command: str | Mapping[str, Any],
    value: Any,
    read_preference: ServerMode | None,
    codec_options: CodecOptions[Any] | None,
    session: Any,
    comment: Any,
    check: bool,
    allowable_errors: Sequence[str | int] | None,
    options: dict[str, Any],
) -> Pending[Any]:
    if comment is not None:
        options["comment"] = comment
    # PyMongo takes these two as well, though its signature does not tell.
    concern: WriteConcern | None = options.pop("write_concern", None)
    checked = options.pop("parse_write_concern_error", False)
    if concern is not None and not concern.is_server_default:
        options["writeConcern"] = concern.document
    command = whole_command(command, value, options)
    inside = core_session(session, database._client)
    read_preference = command_preference(read_preference, inside)
    if codec_options is None:
        scope = command_scope(database)
    else:
        check_codec_options(codec_options)
        scope = command_scope_with(database, codec_options)
    then = checked_write_concern if check and checked else None
    return scope.command(
        command, inside, read_preference, then, allowable_errors if check else True
    )


def cursor_command(
    database: DatabaseBase,
    command: str | Mapping[str, Any],
    value: Any,
    read_preference: ServerMode | None,
    codec_options: CodecOptions[Any] | None,
    session: Any,
    comment: Any,
    max_await_time_ms: int | None,
    options: dict[str, Any],
) -> Opening:
    check_int_or_none("max_await_time_ms", max_await_time_ms)
    inside = core_session(session, database._client)
    read_preference = command_preference(read_preference, inside)
    if codec_options is None:
        codec_options = DEFAULT_CODEC_OPTIONS
    check_codec_options(codec_options)
    scope = command_scope_with(database, codec_options, read_preference)
    # The comment is for the getMores alone: the command is sent as it was given.
    return Opening(
        scope,
        whole_command(command, value, options),
        inside,
        get_more=get_more_extras(comment, max_await_time_ms),
        any_command=True,
    )


def whole_command(
    command: str | Mapping[str, Any], value: Any, options: dict[str, Any]
) -> Mapping[str, Any]:
    if isinstance(command, str):
        return {command: value, **options}
    if not isinstance(command, Mapping):
        raise TypeError(f"command must be a str or a mapping, not {type(command)}")
    if not command:
        raise ValueError("command has no element: the first one is to name it")
    return {**command, **options} if options else command


def list_collections(
    database: DatabaseBase,
    filter: Mapping[str, Any] | None,
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Opening:
    command: dict[str, Any] = {"listCollections": 1, "cursor": {}, **options}
    if filter is not None:
        command["filter"] = filter
    if comment is not None:
        command["comment"] = comment
    inside = core_session(session, database._client)
    extras = get_more_extras(comment, None)
    return Opening(command_scope(database), command, inside, get_more=extras)


def list_collection_names(
    database: DatabaseBase,
    filter: Mapping[str, Any] | None,
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Opening:
    if filter is not None:
        validate_is_mapping("filter", filter)
    # Names come without locking the collections, unless the filter looks at more than names.
    if not filter or (len(filter) == 1 and "name" in filter):
        options["nameOnly"] = True
    return list_collections(database, filter, session, comment, options)


def create_collection(
    collection: CollectionBase[Any], options: dict[str, Any], session: Any
) -> Pending[Any]:
    if options.get("encryptedFields"):
        raise not_yet("the encryptedFields option of create_collection")
    options.pop("encryptedFields", None)
    if options.get("clusteredIndex"):
        validate_is_mapping("clusteredIndex", options["clusteredIndex"])
    collation = validate_collation_or_none(options.pop("collation", None))
    command: dict[str, Any] = {"create": collection._name, **options}
    if "size" in command:
        # As PyMongo sends it: sizes are often computed, and the server takes any number.
        command["size"] = float(command["size"])
    if collation is not None:
        command["collation"] = collation
    inside = core_session(session, collection._database._client)
    return document_scope(collection).write(command, inside, False, checked_write_concern)


def drop_collection(
    database: DatabaseBase, name_or_collection: Any, session: Any, comment: Any, encrypted: Any
) -> Pending[dict[str, Any]]:
    name = collection_name(name_or_collection)
    if encrypted:
        validate_is_mapping("encrypted_fields", encrypted)
        raise not_yet("the encrypted_fields argument of drop")
    command: dict[str, Any] = {"drop": name}
    if comment is not None:
        command["comment"] = comment
    inside = core_session(session, database._client)
    scope = command_scope(database)
    return scope.write(command, inside, False, checked_write_concern, NAMESPACE_NOT_FOUND)


def rename(
    collection: CollectionBase[Any],
    new_name: str,
    session: Any,
    comment: Any,
    options: dict[str, Any],
) -> Pending[dict[str, Any]]:
    check_collection_name(new_name, may_be_system=False, argument="new_name")
    database = collection._database
    command: dict[str, Any] = {
        "renameCollection": f"{database._name}.{collection._name}",
        "to": f"{database._name}.{new_name}",
        **options,
    }
    if comment is not None:
        command["comment"] = comment
    inside = core_session(session, database._client)
    scope = admin_scope(collection)
    return scope.write(command, inside, False, checked_write_concern)


def validate_command(
    name_or_collection: Any, scandata: bool, full: bool, background: bool | None
) -> dict[str, Any]:
    command: dict[str, Any] = {
        "validate": collection_name(name_or_collection),
        "scandata": scandata,
        "full": full,
    }
    if background is not None:
        command["background"] = background
    return command


def valid_or_raise(reply: dict[str, Any], name_or_collection: Any) -> dict[str, Any]:
    """The reply to `validate`, of one server or of each shard; CollectionInvalid if it is bad."""
    for answer in reply["raw"].values() if "raw" in reply else (reply,):
        report = answer.get("result")
        if report is None:
            valid = answer.get("valid", False)
        else:
            valid = "exception" not in report and "corrupt" not in report
        if not valid:
            name = collection_name(name_or_collection)
            raise CollectionInvalid(f"{name} is not valid: {report or reply!r}")
    return reply


def referenced(database: DatabaseBase, reference: DBRef) -> dict[str, Any]:
    """The filter that finds the document a DBRef points to."""
    if not isinstance(reference, DBRef):
        raise TypeError(f"cannot dereference a {type(reference)}")
    if reference.database is not None and reference.database != database._name:
        raise ValueError(
            f"the DBRef points to database {reference.database!r}, not to {database._name!r}"
        )
    return {"_id": reference.id}


def collection_name(name_or_collection: Any) -> str:
    name = name_or_collection
    if isinstance(name, CollectionBase):
        name = name._name
    if not isinstance(name, str):
        raise TypeError(f"name_or_collection must be a str or a collection, not {type(name)}")
    return name
