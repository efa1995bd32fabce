"""AgnosticChangeStream: Motor's change stream, which is opened when it is first used."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from bson.timestamp import Timestamp

from ferromongo._drive import drive
from ferromongo.motor.core.base import AgnosticBase
from ferromongo.synchronous.change_stream import (
    ChangeStream,
    ClusterChangeStream,
    CollectionChangeStream,
    DatabaseChangeStream,
)
from ferromongo.synchronous.collection import Collection
from ferromongo.synchronous.database import Database
from ferromongo.typings import CollationIn, DocumentType, Pipeline

if TYPE_CHECKING:
    from typing import Self


class AgnosticChangeStream(AgnosticBase, Generic[DocumentType]):
    """An iterator over changes, with Motor's API; the methods `watch` return one.

    `async with` opens it, or else the first use. Its delegate is None before.

        async with db.orders.watch() as stream:
            async for change in stream:
                print(change["operationType"], stream.resume_token)
    """

    delegate: ChangeStream[DocumentType] | None

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
        comment: Any | None,
        full_document_before_change: str | None,
        show_expanded_events: bool | None,
    ) -> None:
        """Made by `watch` of `target`, a client, database or collection."""
        super().__init__(None)
        self._target = target
        self._arguments = (
            pipeline,
            full_document,
            resume_after,
            max_await_time_ms,
            batch_size,
            collation,
            start_at_operation_time,
            session,
            start_after,
            comment,
            full_document_before_change,
            show_expanded_events,
        )

    def get_io_loop(self) -> Any:
        """The loop of its client."""
        return self._target.get_io_loop()

    async def _open(self) -> ChangeStream[DocumentType]:
        """The delegate, which is there once the server has answered."""
        if self.delegate is None:
            target = self._target.delegate
            stream: ChangeStream[DocumentType]
            if isinstance(target, Collection):
                stream = CollectionChangeStream(target, *self._arguments)
            elif isinstance(target, Database):
                stream = DatabaseChangeStream(target, *self._arguments)
            else:
                stream = ClusterChangeStream(target["admin"], *self._arguments)
            await drive(stream._opened())
            self.delegate = stream
        return self.delegate

    @property
    def resume_token(self) -> Mapping[str, Any] | None:
        """Where a new stream would have to go on (`resume_after`) to miss nothing.

        Raises AttributeError before the stream is open.
        """
        stream: Any = self.delegate
        token: Mapping[str, Any] | None = stream.resume_token
        return token

    @property
    def alive(self) -> bool:
        """Whether there may be more changes; true before the stream is open."""
        return self.delegate is None or self.delegate.alive

    async def next(self) -> DocumentType:
        """The next change, as soon as there is one; raises StopAsyncIteration when closed."""
        while self.alive:
            change = await self.try_next()
            if change is not None:
                return change
        raise StopAsyncIteration

    __anext__ = next

    async def try_next(self) -> DocumentType | None:
        """The next change, or None if there is none after asking the server once."""
        stream = self.delegate or await self._open()
        change = stream._buffered()
        return await drive(stream._try_next()) if change is None else change

    async def close(self) -> None:
        """End the stream and let the server forget its cursor."""
        if self.delegate is not None:
            await drive(self.delegate._close())

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    def __enter__(self) -> NoReturn:
        raise RuntimeError('Use a change stream in "async with", not "with"')

    def __exit__(self, *error: object) -> None:
        pass
