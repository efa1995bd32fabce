"""What a change stream asks for: the checked arguments of `watch`, and its `aggregate`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Generic

from bson.codec_options import TypeRegistry
from bson.timestamp import Timestamp
from pymongo.collation import validate_collation_or_none
from pymongo.common import (
    validate_list,
    validate_non_negative_integer_or_none,
    validate_string_or_none,
)

from ferromongo._calls import aggregation
from ferromongo._calls.bases import ClientBase, CollectionBase, DatabaseBase
from ferromongo._calls.checks import check_int_or_none
from ferromongo._calls.openings import Opening
from ferromongo._calls.scopes import database_scope, document_scope
from ferromongo._calls.sessions import core_session
from ferromongo._core import Pending, decode
from ferromongo.typings import CollationIn, DocumentType, Pipeline


class ChangeStreamArguments(Generic[DocumentType]):
    """What the change streams of both APIs share."""

    _whole_cluster = False

    def __init__(
        self,
        target: Any,
        pipeline: Pipeline | None,
        full_document: str | None,
        resume_after: Mapping[str, Any] | None,
        max_await_time_ms: int | None,
        batch_size: int | None,
        collation: CollationIn | None,
        start_at_operation_time: Timestamp | None,
        session: Any,
        start_after: Mapping[str, Any] | None,
        comment: Any | None = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> None:
        """Made by `watch`, whose arguments these are."""
        stages = validate_list("pipeline", [] if pipeline is None else pipeline)
        validate_string_or_none("full_document", full_document)
        validate_non_negative_integer_or_none("batchSize", batch_size)
        check_int_or_none("max_await_time_ms", max_await_time_ms)
        self._target: CollectionBase[DocumentType] | DatabaseBase = target
        self._pipeline = copy.deepcopy(stages)
        self._full_document = full_document
        self._full_document_before_change = full_document_before_change
        self._given_token = copy.deepcopy(start_after or resume_after)
        self._begins_after = start_after is not None
        self._start_at_operation_time = start_at_operation_time
        self._max_await_time_ms = max_await_time_ms
        self._batch_size = batch_size
        self._collation = validate_collation_or_none(collation)
        self._session = session
        self._comment = comment
        self._show_expanded_events = show_expanded_events

    def _token(self) -> bytes | None:
        """The engine's."""
        raise NotImplementedError

    def _start(
        self,
        opening: Opening,
        token: Mapping[str, Any] | None,
        starts_after: bool,
        time: Timestamp | None,
    ) -> Pending[None]:
        """The engine's."""
        raise NotImplementedError

    @property
    def resume_token(self) -> Mapping[str, Any] | None:
        """Where a new stream would have to go on (`resume_after`) to miss nothing: behind the last
        change returned, or further if the server says that nothing came since."""
        token = self._token()
        if token is None:
            return copy.deepcopy(self._given_token)
        # Types of the user's own could change what only the server understands.
        plain = self._target._codec_options.with_options(type_registry=TypeRegistry())
        decoded: Mapping[str, Any] = decode(token, plain)
        return decoded

    @property
    def _client(self) -> ClientBase:
        target = self._target
        return (target._database if isinstance(target, CollectionBase) else target)._client

    def _opened(self) -> Pending[None]:
        return self._start(
            self._opening(),
            self._given_token,
            self._begins_after,
            self._start_at_operation_time,
        )

    def _opening(self) -> Opening:
        """The command without the place to begin at, which the engine adds for each cursor."""
        target = self._target
        name: str | int = 1
        if isinstance(target, CollectionBase):
            scope, name = document_scope(target), target._name
        else:
            scope = database_scope(target)
        options = {
            "maxAwaitTimeMS": self._max_await_time_ms,
            "batchSize": self._batch_size,
            "collation": self._collation,
            "comment": self._comment,
        }
        return aggregation.opening(
            scope,
            name,
            [{"$changeStream": self._stage()}, *self._pipeline],
            core_session(self._session, self._client),
            {name: value for name, value in options.items() if value is not None},
        )

    def _stage(self) -> dict[str, Any]:
        stage: dict[str, Any] = {}
        if self._full_document is not None:
            stage["fullDocument"] = self._full_document
        if self._full_document_before_change is not None:
            stage["fullDocumentBeforeChange"] = self._full_document_before_change
        if self._show_expanded_events:
            stage["showExpandedEvents"] = self._show_expanded_events
        if self._whole_cluster:
            stage["allChangesForCluster"] = True
        return stage
