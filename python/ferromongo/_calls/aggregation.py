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

from ferromongo._calls.bases import CollectionBase, DatabaseBase
from ferromongo._calls.checks import check_int_or_none
from ferromongo._calls.openings import Opening, get_more_batch_size, get_more_extras
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
    raw: bool = False,
) -> Aggregation:
    if let is not None:
        validate_is_mapping("let", let)
        options["let"] = let
    if comment is not None:
        options["comment"] = comment
    inside = core_session(session, collection._database._client)
    scope = document_scope(collection)
    return _aggregation(scope, collection._name, pipeline, inside, options, raw)


def on_database(
    database: DatabaseBase, pipeline: Any, session: Any, options: dict[str, Any]
) -> Aggregation:
    inside = core_session(session, database._client)
    return _aggregation(database_scope(database), 1, pipeline, inside, options)


def opening(
    scope: Scope,
    name: str | int,
    pipeline: Any,
    session: Session | None,
    options: dict[str, Any],
    raw: bool = False,
) -> Opening:
    """An aggregate that only reads."""
    command, batch_size = _command(name, pipeline, options, raw)
    await_time = command.pop("maxAwaitTimeMS", None)
    check_int_or_none("maxAwaitTimeMS", await_time)
    extras = get_more_extras(command.get("comment"), await_time)
    return Opening(
        scope, command, session, get_more_batch_size(batch_size or 0), 0, extras, raw=raw
    )


def _aggregation(
    scope: Scope,
    name: str | int,
    pipeline: Any,
    session: Session | None,
    options: dict[str, Any],
    raw: bool = False,
) -> Aggregation:
    if not _writes(pipeline):
        return Aggregation(opening(scope, name, pipeline, session, options, raw), None)
    command, _ = _command(name, pipeline, options, raw)
    command.pop("maxAwaitTimeMS", None)
    # It returns no documents.
    return Aggregation(None, scope.output(command, session, then=checked_write_concern))


def _command(
    name: str | int, pipeline: Any, options: dict[str, Any], raw: bool
) -> tuple[dict[str, Any], int | None]:
    """The command, and the batch size that was asked for."""
    if "explain" in options:
        raise ConfigurationError("aggregate has no explain option; use Database.command")
    for element in ("aggregate", "pipeline"):
        if element in options:
            raise ConfigurationError(f"aggregate has no option named {element}")
    stages = validate_list("pipeline", pipeline)
    batch_size = validate_non_negative_integer_or_none("batchSize", options.pop("batchSize", None))
    collation = validate_collation_or_none(options.pop("collation", None))
    command: dict[str, Any] = {"aggregate": name, "pipeline": stages, **options}
    cursor = command.setdefault("cursor", {})
    # As in PyMongo, raw batches come with getMore only.
    first = 0 if raw else batch_size
    if first is not None and not _writes(stages):
        command["cursor"] = {**cursor, "batchSize": first}
    if collation is not None:
        command["collation"] = collation
    return command, batch_size


def _writes(pipeline: Any) -> bool:
    last = pipeline[-1] if isinstance(pipeline, list) and pipeline else ()
    return "$out" in last or "$merge" in last
