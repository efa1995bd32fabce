"""The sessions that the server knows: `list_sessions` of clients and databases."""

from __future__ import annotations

from typing import Any

from bson.codec_options import DEFAULT_CODEC_OPTIONS

from ferromongo._calls.aggregation import opening
from ferromongo._calls.bases import DatabaseBase
from ferromongo._calls.openings import Opening
from ferromongo._calls.scopes import command_scope_with
from ferromongo._calls.sessions import core_session


def list_sessions(
    database: DatabaseBase, session: Any, comment: Any, local: bool, all_users: bool
) -> Opening:
    """From the server's memory, or (of the database `config`) from what is kept for all servers."""
    stage, target = ("$listLocalSessions", 1) if local else ("$listSessions", "system.sessions")
    options = {} if comment is None else {"comment": comment}
    inside = core_session(session, database._client)
    scope = command_scope_with(database, DEFAULT_CODEC_OPTIONS, database._read_preference)
    return opening(scope, target, [{stage: {"allUsers": all_users}}], inside, options)
