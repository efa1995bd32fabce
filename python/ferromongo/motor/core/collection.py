"""AgnosticCollection: Motor's collection."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any, Generic, NoReturn

from bson.codec_options import CodecOptions
from bson.timestamp import Timestamp
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._calls import aggregation
from ferromongo._calls import indexes as index_calls
from ferromongo._calls import search_indexes as search_index_calls
from ferromongo._pymongo_internals import ServerMode
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.motor.core.base import AgnosticBaseProperties
from ferromongo.motor.core.collection_operations import CollectionOperations
from ferromongo.motor.core.command_cursor import Listing
from ferromongo.synchronous.collection import Collection
from ferromongo.synchronous.command_cursor import CommandCursor
from ferromongo.synchronous.cursor import Cursor
from ferromongo.typings import CollationIn, DocumentType, DocumentTypeArg, Pipeline

if TYPE_CHECKING:
    from ferromongo.motor.core.change_stream import AgnosticChangeStream
    from ferromongo.motor.core.client_session import AgnosticClientSession
    from ferromongo.motor.core.command_cursor import AgnosticLatentCommandCursor
    from ferromongo.motor.core.cursor import AgnosticCursor, AgnosticRawBatchCursor
    from ferromongo.motor.core.database import AgnosticDatabase


class AgnosticCollection(
    CollectionOperations[DocumentType], AgnosticBaseProperties, Generic[DocumentType]
):
    """A collection of documents, with Motor's API; `db.orders` and `db["orders"]` make one.

    An operation begins when its method is called, and its Future may be awaited when its result is
    needed. Methods that return cursors send nothing before the cursor is used.
    """

    def __init__(
        self,
        database: AgnosticDatabase[DocumentType],
        name: str,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
        _delegate: Collection[DocumentType] | None = None,
    ) -> None:
        """The collection `name` of `database`; options not given are the database's."""
        if not isinstance(database, self._framework.database):
            raise TypeError(
                f"First argument to MotorCollection must be MotorDatabase, not {database!r}"
            )
        super().__init__(
            Collection(
                database.delegate,
                name,
                codec_options=codec_options,
                read_preference=read_preference,
                write_concern=write_concern,
                read_concern=read_concern,
            )
            if _delegate is None
            else _delegate
        )
        self.database: AgnosticDatabase[DocumentType] = database

    def _twin(self) -> AsyncCollection[DocumentType]:
        own = self.delegate
        return AsyncCollection(
            self.database._twin(),
            own.name,
            False,
            own.codec_options,
            own.read_preference,
            own.write_concern,
            own.read_concern,
        )

    def get_io_loop(self) -> Any:
        """The loop of its client."""
        return self.database.get_io_loop()

    def with_options(
        self,
        codec_options: CodecOptions[Any] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AgnosticCollection[Any]:
        """The same collection with some options changed; those not given stay."""
        changed: Collection[Any] = self.delegate.with_options(
            codec_options,
            read_preference,
            write_concern,
            read_concern,
        )
        return type(self)(self.database, changed.name, _delegate=changed)

    def find(self, *args: Any, **kwargs: Any) -> AgnosticCursor[DocumentType]:
        """A cursor over the documents that match; the query is sent at its first use.

        The parameters are those of `AsyncCollection.find`.
        """
        return self._framework.cursor(self.delegate.find(*args, **kwargs), self)

    def find_raw_batches(self, *args: Any, **kwargs: Any) -> AgnosticRawBatchCursor[DocumentType]:
        """A cursor over whole batches of documents, as the server sent them: `bytes`.

        The parameters are those of `find`.
        """
        return self._framework.raw_batch_cursor(
            self.delegate.find_raw_batches(*args, **kwargs), self
        )

    def aggregate(
        self, pipeline: Pipeline, *args: Any, **kwargs: Any
    ) -> AgnosticLatentCommandCursor[DocumentType]:
        """A cursor over the result of an aggregation. The command is sent at its first use.

        :param pipeline: a list of stages. `$out` and `$merge` write when the cursor is used.
        :param kwargs: `session`, `let`, `comment`, and further elements of the command

            async for order in orders.aggregate([{"$match": {"open": True}}]):
                print(order)
        """
        return self._framework.latent_command_cursor(
            self, self._aggregation, pipeline, *args, **kwargs
        )

    def aggregate_raw_batches(
        self, pipeline: Pipeline, **kwargs: Any
    ) -> AgnosticLatentCommandCursor[DocumentType]:
        """As `aggregate`, but over whole batches, as the server sent them: `bytes`."""
        return self._framework.latent_command_cursor(
            self, self._raw_aggregation, pipeline, **kwargs
        )

    def _aggregation(
        self,
        pipeline: Pipeline,
        session: Any = None,
        let: Mapping[str, Any] | None = None,
        comment: Any = None,
        **kwargs: Any,
    ) -> aggregation.Aggregation:
        return aggregation.on_collection(self.delegate, pipeline, session, let, comment, kwargs)

    def _raw_aggregation(
        self, pipeline: Pipeline, session: Any = None, comment: Any = None, **kwargs: Any
    ) -> aggregation.Aggregation:
        delegate = self.delegate
        return aggregation.on_collection(delegate, pipeline, session, None, comment, kwargs, True)

    def list_indexes(
        self, session: AgnosticClientSession | None = None, **kwargs: Any
    ) -> AgnosticLatentCommandCursor[MutableMapping[str, Any]]:
        """A cursor over the descriptions of the indexes. The command is sent at its first use."""
        return self._framework.latent_command_cursor(self, self._indexes, session=session, **kwargs)

    def _indexes(self, session: Any = None, comment: Any = None) -> Listing:
        opening = index_calls.list_indexes(self.delegate, session, comment)
        return Listing(opening, may_lack_collection=True)

    def list_search_indexes(
        self, *args: Any, **kwargs: Any
    ) -> AgnosticLatentCommandCursor[Mapping[str, Any]]:
        """A cursor over the descriptions of the search indexes, or of the one that is named.

        The parameters are those of `AsyncCollection.list_search_indexes`.
        """
        return self._framework.latent_command_cursor(self, self._search_indexes, *args, **kwargs)

    def _search_indexes(
        self, name: str | None = None, session: Any = None, comment: Any = None, **kwargs: Any
    ) -> Listing:
        calls = search_index_calls
        return Listing(calls.list_search_indexes(self.delegate, name, session, comment, kwargs))

    def watch(
        self,
        pipeline: Pipeline | None = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: CollationIn | None = None,
        start_at_operation_time: Timestamp | None = None,
        session: AgnosticClientSession | None = None,
        start_after: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> AgnosticChangeStream[DocumentType]:
        """A change stream of the collection, opened by `async with` or at its first use.

            async with orders.watch() as stream:
                async for change in stream:
                    print(change["operationType"])

        The parameters are those of `AsyncCollection.watch`.
        """
        return self._framework.change_stream(
            self,
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

    def __getattr__(self, name: str) -> AgnosticCollection[DocumentType]:
        """The collection whose name is this one's, a dot, and `name`."""
        if name == "delegate":
            raise AttributeError(name)  # of an object that `copy` is making
        if name.startswith("_"):
            full_name = f"{self.delegate.name}.{name}"
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. "
                f"The collection of that name is database[{full_name!r}]."
            )
        return self[name]

    def __getitem__(self, name: str) -> AgnosticCollection[DocumentType]:
        """The collection whose name is this one's, a dot, and `name`."""
        collection = self.delegate[name]
        return self._framework.collection(self.database, collection.name, _delegate=collection)

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """A misspelt method of a database or collection ends here."""
        raise TypeError(
            f"MotorCollection object is not callable: there is no method {self.delegate.name!r}"
        )

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(self.delegate)

    def __bool__(self) -> bool:
        return bool(self.delegate)

    def wrap(self, obj: Any) -> Any:
        """The Motor object for one of the delegate's: anything else is returned as it is."""
        if type(obj) is Collection:
            return type(self)(self.database, obj.name, _delegate=obj)
        if type(obj) is Cursor:
            return self._framework.cursor(obj, self)
        if type(obj) is CommandCursor:
            return self._framework.command_cursor(obj, self)
        return obj
