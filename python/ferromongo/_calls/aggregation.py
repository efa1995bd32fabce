"""The `aggregate` command of a collection or a database."""

from __future__ import annotations

from typing import Any, NamedTuple

from pymongo.collation import validate_collation_or_none
from pymongo.common import (
    validate_is_mapping,
    validate_list,
    validate_non_negative_integer_or_none,
)
from pymongo.errors import ConfigurationError

from ferromongo._calls.bases import CollectionBase, Configured, DatabaseBase
from ferromongo._calls.find import Opening, get_more_extras
from ferromongo._calls.scopes import database_scope, document_scope
from ferromongo._calls.sessions import core_session
from ferromongo._calls.write_errors import checked_write_concern
from ferromongo._core import Pending, Scope, Session


class Aggregation(NamedTuple):
    """An aggregate ready to run: a read opens a cursor, `$out` and `$merge` are one write."""

    opening: Opening | None
    write: Pending[Any] | None


def on_collection(
    collection: CollectionBase[Any],
    pipeline: Any,
    session: Any,
    let: Any,
    comment: Any,
    options: dict[str, Any],
) -> Aggregation:
    if let is not None:
        validate_is_mapping("let", let)
        options["let"] = let
    if comment is not None:
        options["comment"] = comment
    inside = core_session(session, collection._database._client)
    scope = document_scope(collection)
    return _aggregation(collection, scope, collection._name, pipeline, inside, options)


def on_database(
    database: DatabaseBase, pipeline: Any, session: Any, options: dict[str, Any]
) -> Aggregation:
    inside = core_session(session, database._client)
    return _aggregation(database, database_scope(database), 1, pipeline, inside, options)


def _aggregation(
    target: Configured,
    scope: Scope,
    name: str | int,
    pipeline: Any,
    session: Session | None,
    options: dict[str, Any],
) -> Aggregation:
    if "explain" in options:
        raise ConfigurationError("aggregate has no explain option; use Database.command")
    for element in ("aggregate", "pipeline"):
        if element in options:
            raise ConfigurationError(f"aggregate has no option named {element}")
    stages = validate_list("pipeline", pipeline)
    writes = bool(stages) and ("$out" in stages[-1] or "$merge" in stages[-1])
    batch_size = validate_non_negative_integer_or_none("batchSize", options.pop("batchSize", None))
    collation = validate_collation_or_none(options.pop("collation", None))
    extras = get_more_extras(options.get("comment"), options.pop("maxAwaitTimeMS", None))
    command: dict[str, Any] = {"aggregate": name, "pipeline": stages, **options}
    cursor = command.setdefault("cursor", {})
    if batch_size is not None and not writes:
        command["cursor"] = {**cursor, "batchSize": batch_size}
    if collation is not None:
        command["collation"] = collation
    if not writes:
        return Aggregation((scope, command, session, batch_size or 0, 0, extras), None)
    # Such an aggregate must not be retried and returns no documents: it runs as a write, with the
    # read concern that a write does not get by itself.
    level = target._read_concern.document
    if level and "readConcern" not in command and not (session and session.in_transaction):
        command["readConcern"] = level
    write = scope.write(command, session, retryable=False, then=checked_write_concern)
    return Aggregation(None, write)
