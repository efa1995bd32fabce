"""AsyncCollection: reading and writing documents."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Unpack, overload

from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.timestamp import Timestamp
from pymongo.asynchronous.collection import ReturnDocument as ReturnDocument
from pymongo.cursor import CursorType
from pymongo.errors import OperationFailure
from pymongo.operations import IndexModel, SearchIndexModel
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.results import (
    BulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)
from pymongo.write_concern import WriteConcern

from ferromongo._calls import aggregation, bulk, find_and_modify, reads, writes
from ferromongo._calls import database as database_calls
from ferromongo._calls import find as find_calls
from ferromongo._calls import indexes as index_calls
from ferromongo._calls import search_indexes as search_index_calls
from ferromongo._calls.bases import CollectionBase, check_collection_name, check_kind
from ferromongo._calls.scopes import reply_options
from ferromongo._drive import drive, run
from ferromongo._opening import openable
from ferromongo._pymongo_internals import ServerMode
from ferromongo.asynchronous._find_options import AsyncFindOptions
from ferromongo.asynchronous._iteration import every, is_own
from ferromongo.asynchronous.change_stream import AsyncCollectionChangeStream
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.command_cursor import (
    AsyncCommandCursor,
    AsyncRawBatchCommandCursor,
)
from ferromongo.asynchronous.cursor import AsyncCursor, AsyncRawBatchCursor
from ferromongo.typings import (
    CollationIn,
    DocumentType,
    DocumentTypeArg,
    Hint,
    KeyPattern,
    Pipeline,
    WriteOp,
)

if TYPE_CHECKING:
    from ferromongo.asynchronous.database import AsyncDatabase

_IS_SYNC = False


class AsyncCollection(CollectionBase[DocumentType], Generic[DocumentType]):
    """A collection of documents; `db.orders` and `db["orders"]` make one.

    Making one costs nothing and sends nothing. Counterpart of PyMongo's `AsyncCollection`.

    Arguments that many methods share:

    * `session`: the session the operation belongs to
    * `comment`: a remark for the server's logs and profiles
    * `hint`: the index to use, by name or by keys
    * `collation`: the rules for comparing strings
    * `let`: values that expressions refer to as `$$name`
    * `bypass_document_validation`: skip the collection's validation rules

    All raise OperationFailure for what the server refuses, AutoReconnect for a lost connection and
    ServerSelectionTimeoutError when there is no server to ask.
    """

    def __init__(
        self,
        database: AsyncDatabase[DocumentType],
        name: str,
        create: bool | None = False,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
        session: AsyncClientSession | None = None,
        **kwargs: Any,
    ) -> None:
        """The collection `name` of `database`; options not given are the database's.

        :param create: deprecated, synchronous only: create it now, with `kwargs` as options

        Raises InvalidName for a name no collection can have.
        """
        check_kind(database, "AsyncDatabase")
        check_collection_name(name)
        super().__init__(
            codec_options or database.codec_options,
            read_preference or database.read_preference,
            write_concern or database.write_concern,
            read_concern or database.read_concern,
        )
        self._database: AsyncDatabase[DocumentType] = database
        self._name = name
        if create or kwargs:
            if _IS_SYNC:
                warnings.warn(
                    "create and options of Collection() are deprecated; use create_collection",
                    DeprecationWarning,
                    stacklevel=2,
                )
                run(database_calls.create_collection(self, kwargs, session))
            else:
                raise ValueError("AsyncCollection() cannot create; use create_collection")

    def __getattr__(self, name: str) -> AsyncCollection[DocumentType]:
        """The collection whose name is this one's, a dot, and `name`."""
        if name.startswith("_"):
            full_name = f"{self._name}.{name}"
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}. "
                f"The collection of that name is database[{full_name!r}]."
            )
        return self[name]

    def __getitem__(self, name: str) -> AsyncCollection[DocumentType]:
        """The collection whose name is this one's, a dot, and `name`."""
        return AsyncCollection(
            self._database,
            f"{self._name}.{name}",
            False,
            self._codec_options,
            self._read_preference,
            self._write_concern,
            self._read_concern,
        )

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self._name

    @property
    def full_name(self) -> str:
        """The names of database and collection with a dot between."""
        return f"{self._database._name}.{self._name}"

    @property
    def database(self) -> AsyncDatabase[DocumentType]:
        """The database it belongs to."""
        return self._database

    @overload
    def with_options(
        self,
        codec_options: None = None,
        read_preference: ServerMode | None = ...,
        write_concern: WriteConcern | None = ...,
        read_concern: ReadConcern | None = ...,
    ) -> AsyncCollection[DocumentType]: ...

    @overload
    def with_options(
        self,
        codec_options: CodecOptions[DocumentTypeArg],
        read_preference: ServerMode | None = ...,
        write_concern: WriteConcern | None = ...,
        read_concern: ReadConcern | None = ...,
    ) -> AsyncCollection[DocumentTypeArg]: ...

    def with_options(
        self,
        codec_options: CodecOptions[DocumentTypeArg] | None = None,
        read_preference: ServerMode | None = None,
        write_concern: WriteConcern | None = None,
        read_concern: ReadConcern | None = None,
    ) -> AsyncCollection[DocumentType] | AsyncCollection[DocumentTypeArg]:
        """The same collection with some options changed; those not given stay. Sends nothing.

        Raises TypeError for an option of the wrong class.

            orders.with_options(write_concern=WriteConcern("majority"))
        """
        return AsyncCollection(
            self._database,
            self._name,
            False,
            codec_options or self._codec_options,
            read_preference or self._read_preference,
            write_concern or self._write_concern,
            read_concern or self._read_concern,
        )

    async def insert_one(
        self,
        document: DocumentType | RawBSONDocument,
        bypass_document_validation: bool | None = None,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
    ) -> InsertOneResult:
        """Insert a document; one without `_id` gets an ObjectId, in the caller's object too.

        :param comment: any value, to find the command by in the server's log and profiler

        Raises DuplicateKeyError if a unique index has the key already.

            (await orders.insert_one({"item": "tea"})).inserted_id
        """
        return await drive(
            writes.insert_one(self, document, bypass_document_validation, session, comment)
        )

    async def insert_many(
        self,
        documents: Iterable[DocumentType | RawBSONDocument],
        ordered: bool = True,
        bypass_document_validation: bool | None = None,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
    ) -> InsertManyResult:
        """Insert documents, in as few messages as the server's limits allow.

        Those without `_id` get an ObjectId, in the caller's objects too; the result's
        `inserted_ids` has all of them.

        :param ordered: stop at the first that fails; False tries them all
        :param comment: any value, to find the command by in the server's log and profiler

        Raises BulkWriteError, whose `details` tell which documents failed and why, and TypeError
        if there are none.
        """
        return await drive(
            writes.insert_many(
                self._for_bulk(), documents, ordered, bypass_document_validation, session, comment
            )
        )

    def _for_bulk(self) -> AsyncCollection[Any]:
        """PyMongo's bulk writes go through `with_options`, which may be another's."""
        if is_own(self, "with_options", _WITH_OPTIONS):
            return self
        return self.with_options(codec_options=reply_options(self._codec_options))

    async def bulk_write(
        self,
        requests: Sequence[WriteOp[DocumentType]],
        ordered: bool = True,
        bypass_document_validation: bool | None = None,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> BulkWriteResult:
        """Make many writes of different kinds, in as few messages as the server's limits allow.

        :param requests: a list of `InsertOne`, `UpdateOne`, `UpdateMany`, `ReplaceOne`,
            `DeleteOne` and `DeleteMany`
        :param ordered: stop at the first that fails; False tries them all, in any order
        :param comment: any value, to find the command by in the server's log and profiler

        Raises BulkWriteError, whose `details` tell what was done, which requests failed and why.
        """
        return await drive(
            bulk.bulk_write(
                self._for_bulk(),
                requests,
                ordered,
                bypass_document_validation,
                session,
                comment,
                let,
            )
        )

    async def find_one(
        self, filter: Any | None = None, *args: Any, **kwargs: Unpack[AsyncFindOptions]
    ) -> DocumentType | None:
        """The first document that matches, or None.

        :param filter: a query, or a value of `_id`
        :param args: further arguments of `find`, by position
        :param kwargs: further arguments of `find`, by name
        """
        if (
            not is_own(self, "find", _FIND)
            or AsyncCursor.next is not _NEXT
            or AsyncCursor.__anext__ is not _ANEXT
            or AsyncCursor._refresh is not AsyncCursor._plain_refresh
        ):
            # Overridden or patched: `find_one` follows it, as PyMongo's.
            cursor: Any = self.find(find_calls.as_query(filter), *args, **kwargs)
            found: DocumentType
            async for found in cursor.limit(-1):
                return found
            return None
        return await drive(find_calls.find_one(self, filter, args, kwargs))

    def find(
        self,
        filter: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        cursor_type: int = CursorType.NON_TAILABLE,
        sort: KeyPattern | None = None,
        allow_partial_results: bool = False,
        oplog_replay: bool = False,
        batch_size: int = 0,
        collation: CollationIn | None = None,
        hint: Hint | None = None,
        max_scan: int | None = None,
        max_time_ms: int | None = None,
        max: KeyPattern | None = None,
        min: KeyPattern | None = None,
        return_key: bool | None = None,
        show_record_id: bool | None = None,
        snapshot: bool | None = None,
        comment: Any | None = None,
        session: AsyncClientSession | None = None,
        allow_disk_use: bool | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> AsyncCursor[DocumentType]:
        """A cursor over the documents that match; the query is sent at the first iteration.

        :param filter: a query; None for all documents
        :param projection: the fields to return, as names or as a document
        :param skip: how many documents to leave out
        :param limit: how many to return at most; 0 for all
        :param no_cursor_timeout: the server keeps the cursor however long it is idle
        :param cursor_type: a `CursorType`; tailable ones are for capped collections
        :param sort: (key, direction) pairs
        :param allow_partial_results: return what there is if a shard is down
        :param oplog_replay: ignored by current servers
        :param batch_size: how many documents come at a time; 0 leaves it to the server
        :param max_time_ms: milliseconds the server may take
        :param max: exclusive upper bound of the index in `hint`
        :param min: inclusive lower bound of the index in `hint`
        :param return_key: return the index keys only
        :param show_record_id: add the storage engine's id as `$recordId`
        :param allow_disk_use: the server may sort on disk

        `collation`, `hint`, `comment`, `session` and `let` as for the other methods; `max_scan` and
        `snapshot` are for servers of long ago. Raises TypeError or ValueError for arguments that
        cannot be right.
        """
        return AsyncCursor(
            self,
            filter,
            projection,
            skip,
            limit,
            no_cursor_timeout,
            cursor_type,
            sort,
            allow_partial_results,
            oplog_replay,
            batch_size,
            collation,
            hint,
            max_scan,
            max_time_ms,
            max,
            min,
            return_key,
            show_record_id,
            snapshot,
            comment,
            session,
            allow_disk_use,
            let,
        )

    def find_raw_batches(
        self,
        filter: Mapping[str, Any] | None = None,
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        skip: int = 0,
        limit: int = 0,
        no_cursor_timeout: bool = False,
        cursor_type: int = CursorType.NON_TAILABLE,
        sort: KeyPattern | None = None,
        allow_partial_results: bool = False,
        oplog_replay: bool = False,
        batch_size: int = 0,
        collation: CollationIn | None = None,
        hint: Hint | None = None,
        max_scan: int | None = None,
        max_time_ms: int | None = None,
        max: KeyPattern | None = None,
        min: KeyPattern | None = None,
        return_key: bool | None = None,
        show_record_id: bool | None = None,
        snapshot: bool | None = None,
        comment: Any | None = None,
        session: AsyncClientSession | None = None,
        allow_disk_use: bool | None = None,
        let: Mapping[str, Any] | None = None,
    ) -> AsyncRawBatchCursor[DocumentType]:
        """A cursor over whole batches of documents, as the server sent them: `bytes`.

        The arguments are those of `find`.

            async for batch in orders.find_raw_batches({"open": True}):
                documents = bson.decode_all(batch)
        """
        return AsyncRawBatchCursor(
            self,
            filter,
            projection,
            skip,
            limit,
            no_cursor_timeout,
            cursor_type,
            sort,
            allow_partial_results,
            oplog_replay,
            batch_size,
            collation,
            hint,
            max_scan,
            max_time_ms,
            max,
            min,
            return_key,
            show_record_id,
            snapshot,
            comment,
            session,
            allow_disk_use,
            let,
        )

    async def update_one(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Pipeline,
        upsert: bool = False,
        bypass_document_validation: bool | None = None,
        collation: CollationIn | None = None,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Hint | None = None,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        sort: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Change the first document that matches.

        :param update: update operators such as `$set`, or a pipeline
        :param upsert: insert a document if none matches
        :param array_filters: which array elements `$[name]` stands for
        :param sort: which document is the first (MongoDB 8.0)
        :param comment: any value, to find the command by in the server's log and profiler

        Raises ValueError for an update without operators, DuplicateKeyError if it makes a key that
        a unique index has already, and WriteError for what the server refuses otherwise.

            await stock.update_one({"item": "tea"}, {"$inc": {"n": -1}})
        """
        return await drive(
            writes.update(
                self,
                filter,
                update,
                upsert=upsert,
                bypass=bypass_document_validation,
                collation=collation,
                array_filters=array_filters,
                hint=hint,
                session=session,
                let=let,
                sort=sort,
                comment=comment,
            )
        )

    async def update_many(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Pipeline,
        upsert: bool = False,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        bypass_document_validation: bool | None = None,
        collation: CollationIn | None = None,
        hint: Hint | None = None,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Change all documents that match. It is never retried. Arguments as for `update_one`.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await drive(
            writes.update(
                self,
                filter,
                update,
                multi=True,
                upsert=upsert,
                bypass=bypass_document_validation,
                collation=collation,
                array_filters=array_filters,
                hint=hint,
                session=session,
                let=let,
                comment=comment,
            )
        )

    async def replace_one(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        upsert: bool = False,
        bypass_document_validation: bool | None = None,
        collation: CollationIn | None = None,
        hint: Hint | None = None,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        sort: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> UpdateResult:
        """Replace the first document that matches, keeping its `_id`.

        :param upsert: insert the replacement if none matches
        :param sort: which document is the first (MongoDB 8.0)
        :param comment: any value, to find the command by in the server's log and profiler

        Raises ValueError for a replacement with update operators.
        """
        return await drive(
            writes.update(
                self,
                filter,
                replacement,
                replaces=True,
                upsert=upsert,
                bypass=bypass_document_validation,
                collation=collation,
                hint=hint,
                session=session,
                let=let,
                sort=sort,
                comment=comment,
            )
        )

    async def delete_one(
        self,
        filter: Mapping[str, Any],
        collation: CollationIn | None = None,
        hint: Hint | None = None,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> DeleteResult:
        """Delete the first document that matches: the result's `deleted_count` is 1 or 0.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await drive(
            writes.delete(
                self,
                filter,
                multi=False,
                collation=collation,
                hint=hint,
                session=session,
                let=let,
                comment=comment,
            )
        )

    async def delete_many(
        self,
        filter: Mapping[str, Any],
        collation: CollationIn | None = None,
        hint: Hint | None = None,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
    ) -> DeleteResult:
        """Delete all documents that match; `{}` empties the collection. It is never retried.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await drive(
            writes.delete(
                self,
                filter,
                multi=True,
                collation=collation,
                hint=hint,
                session=session,
                let=let,
                comment=comment,
            )
        )

    async def count_documents(
        self,
        filter: Mapping[str, Any],
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> int:
        """How many documents match, counted one by one.

        :param kwargs: `skip`, `limit`, `collation`, `hint`, `maxTimeMS` (milliseconds)
        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await drive(reads.count_documents(self, filter, session, comment, kwargs))

    async def estimated_document_count(self, comment: Any | None = None, **kwargs: Any) -> int:
        """How many documents the collection has by its metadata: at once, not always exact.

        :param kwargs: further elements of the command, such as `maxTimeMS` (milliseconds)
        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await drive(reads.estimated_document_count(self, comment, kwargs))

    async def distinct(
        self,
        key: str,
        filter: Mapping[str, Any] | None = None,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        hint: Hint | None = None,
        **kwargs: Any,
    ) -> list[Any]:
        """The different values of `key` among the documents that match, 16 MB at most.

        :param key: a field, with dots for one of an embedded document
        :param kwargs: `collation`, `maxTimeMS` (milliseconds)
        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await drive(reads.distinct(self, key, filter, session, comment, hint, kwargs))

    @openable
    async def watch(
        self,
        pipeline: Pipeline | None = None,
        full_document: str | None = None,
        resume_after: Mapping[str, Any] | None = None,
        max_await_time_ms: int | None = None,
        batch_size: int | None = None,
        collation: CollationIn | None = None,
        start_at_operation_time: Timestamp | None = None,
        session: AsyncClientSession | None = None,
        start_after: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        full_document_before_change: str | None = None,
        show_expanded_events: bool | None = None,
    ) -> AsyncCollectionChangeStream[DocumentType]:
        """Open a change stream of this collection (on a replica set or a sharded cluster).

        :param pipeline: stages that filter or change the events
        :param full_document: `"updateLookup"` adds the document as it is now to an update's event,
            `"whenAvailable"` and `"required"` as it was right after (on collections that keep
            post-images)
        :param resume_after: a `resume_token`: go on behind it
        :param max_await_time_ms: how long the server waits for changes before it answers
        :param batch_size: the most events the server sends at a time
        :param start_at_operation_time: begin with changes of that time
        :param start_after: like `resume_after`; its token may be that of an "invalidate" event
        :param full_document_before_change: `"whenAvailable"` or `"required"` adds the document as
            it was before (on collections that keep pre-images)
        :param show_expanded_events: tell of more, such as new indexes (MongoDB 6.0)
        """
        stream: AsyncCollectionChangeStream[DocumentType] = AsyncCollectionChangeStream(
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
        await drive(stream._opened())
        return stream

    @openable
    async def aggregate(
        self,
        pipeline: Pipeline,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> AsyncCommandCursor[DocumentType]:
        """Run an aggregation; returns a cursor over its documents.

        :param pipeline: a list of stages; with `$out` or `$merge` last, the cursor is empty and the
            command is not retried
        :param kwargs: further elements of the command: `batchSize`, `allowDiskUse`, `hint`,
            `maxTimeMS` (milliseconds), ...
        :param comment: any value, to find the command by in the server's log and profiler

            async for row in await orders.aggregate([{"$sortByCount": "$item"}]):
                print(row)
        """
        aggregate = aggregation.on_collection(self, pipeline, session, let, comment, kwargs)
        if aggregate.write is not None:
            await drive(aggregate.write)
        cursor: AsyncCommandCursor[DocumentType] = AsyncCommandCursor(aggregate.opening, session)
        await drive(cursor._start())
        return cursor

    @openable
    async def aggregate_raw_batches(
        self,
        pipeline: Pipeline,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> AsyncRawBatchCommandCursor[DocumentType]:
        """Run an aggregation; returns a cursor over whole batches of its documents: `bytes`.

        :param kwargs: further elements of the command: `batchSize`, `allowDiskUse`, `hint`, ...
        :param comment: any value, to find the command by in the server's log and profiler
        """
        aggregate = aggregation.on_collection(self, pipeline, session, None, comment, kwargs, True)
        if aggregate.write is not None:
            await drive(aggregate.write)
        cursor: AsyncRawBatchCommandCursor[DocumentType] = AsyncRawBatchCommandCursor(
            aggregate.opening, session
        )
        await drive(cursor._start())
        return cursor

    async def find_one_and_update(
        self,
        filter: Mapping[str, Any],
        update: Mapping[str, Any] | Pipeline,
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: KeyPattern | None = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        array_filters: Sequence[Mapping[str, Any]] | None = None,
        hint: Hint | None = None,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> DocumentType | None:
        """Change the first document that matches and return it, or None if there is none.

        :param update: update operators such as `$set`, or a pipeline
        :param projection: the fields to return, as names or as a document
        :param sort: which document is the first, as (key, direction) pairs
        :param upsert: insert a document if none matches
        :param return_document: `ReturnDocument.BEFORE` or `AFTER` the change
        :param array_filters: which array elements `$[name]` stands for
        :param kwargs: further elements of the command: `collation`, `maxTimeMS` (milliseconds), ...
        :param comment: any value, to find the command by in the server's log and profiler

        Raises ValueError for an update without operators.
        """
        return await drive(
            find_and_modify.update(
                self,
                filter,
                update,
                projection=projection,
                sort=sort,
                upsert=upsert,
                return_document=return_document,
                array_filters=array_filters,
                hint=hint,
                session=session,
                let=let,
                comment=comment,
                options=kwargs,
            )
        )

    async def find_one_and_replace(
        self,
        filter: Mapping[str, Any],
        replacement: Mapping[str, Any],
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: KeyPattern | None = None,
        upsert: bool = False,
        return_document: bool = ReturnDocument.BEFORE,
        hint: Hint | None = None,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> DocumentType | None:
        """Replace the first document that matches and return it, or None if there is none.

        :param comment: any value, to find the command by in the server's log and profiler

        The arguments are those of `find_one_and_update`. Raises ValueError for a replacement with
        update operators.
        """
        return await drive(
            find_and_modify.replace(
                self,
                filter,
                replacement,
                projection=projection,
                sort=sort,
                upsert=upsert,
                return_document=return_document,
                hint=hint,
                session=session,
                let=let,
                comment=comment,
                options=kwargs,
            )
        )

    async def find_one_and_delete(
        self,
        filter: Mapping[str, Any],
        projection: Mapping[str, Any] | Iterable[str] | None = None,
        sort: KeyPattern | None = None,
        hint: Hint | None = None,
        session: AsyncClientSession | None = None,
        let: Mapping[str, Any] | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> DocumentType | None:
        """Delete the first document that matches and return it, or None if there is none.

        :param projection: the fields to return, as names or as a document
        :param sort: which document is the first, as (key, direction) pairs
        :param kwargs: further elements of the command: `collation`, `maxTimeMS` (milliseconds), ...
        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await drive(
            find_and_modify.delete(
                self,
                filter,
                projection=projection,
                sort=sort,
                hint=hint,
                session=session,
                let=let,
                comment=comment,
                options=kwargs,
            )
        )

    async def create_index(
        self,
        keys: Hint,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> str:
        """Create an index unless it exists; returns its name when it has been built.

        :param keys: one key, or a list of keys and (key, direction) pairs
        :param kwargs: `unique`, `name`, `expireAfterSeconds`, `sparse`, ...; and of
            the command `maxTimeMS` (milliseconds), `commitQuorum`
        :param comment: any value, to find the command by in the server's log and profiler

        Raises OperationFailure if it exists with other options, and DuplicateKeyError if it is to
        be unique and the documents are not.

            await orders.create_index([("who", 1), ("day", -1)], unique=True)
        """
        return (await drive(index_calls.create_index(self, keys, session, comment, kwargs)))[0]

    async def create_indexes(
        self,
        indexes: Sequence[IndexModel],
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Create several indexes with one command, unless they exist; returns their names.

        :param kwargs: further elements of the command: `commitQuorum`, `maxTimeMS` (milliseconds)
        :param comment: any value, to find the command by in the server's log and profiler

        Raises what `create_index` does.
        """
        return await drive(index_calls.create_indexes(self, indexes, session, comment, kwargs))

    async def drop_index(
        self,
        index_or_name: Hint,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> None:
        """Delete an index, by name or by the keys it was created with.

        :param comment: any value, to find the command by in the server's log and profiler

        No error if the collection does not exist; OperationFailure if the index does not.
        """
        await drive(index_calls.drop_index(self, index_or_name, session, comment, kwargs))

    async def drop_indexes(
        self,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> None:
        """Delete all indexes but the one of `_id`.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        await drive(index_calls.drop_index(self, "*", session, comment, kwargs))

    @openable
    async def list_indexes(
        self, session: AsyncClientSession | None = None, comment: Any | None = None
    ) -> AsyncCommandCursor[MutableMapping[str, Any]]:
        """A cursor over the index descriptions; empty if the collection does not exist.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await self._list_indexes(session, comment)

    async def _list_indexes(
        self, session: AsyncClientSession | None, comment: Any | None
    ) -> AsyncCommandCursor[MutableMapping[str, Any]]:
        options = index_calls.OPTIONS
        plain = self.with_options(codec_options=options, read_preference=ReadPreference.PRIMARY)
        opening = index_calls.list_indexes(plain, session, comment)
        cursor: AsyncCommandCursor[MutableMapping[str, Any]] = AsyncCommandCursor(opening, session)
        try:
            await drive(cursor._start())
        except OperationFailure as error:
            if error.code != 26:  # NamespaceNotFound
                raise
            cursor = AsyncCommandCursor(None, session)
        return cursor

    async def index_information(
        self, session: AsyncClientSession | None = None, comment: Any | None = None
    ) -> MutableMapping[str, Any]:
        """The indexes by name; each has its `key` as a list of (key, direction) pairs.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        cursor = await self._list_indexes(session, comment)
        return index_calls.index_information(await every(cursor))

    @openable
    async def list_search_indexes(
        self,
        name: str | None = None,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> AsyncCommandCursor[Mapping[str, Any]]:
        """A cursor over the search indexes, or over the one of that name.

        :param kwargs: further elements of the `aggregate` command
        :param comment: any value, to find the command by in the server's log and profiler

        Search indexes need MongoDB Atlas, or a server with a search process.
        """
        plain = self.with_options(**search_index_calls.OPTIONS)
        opening = search_index_calls.list_search_indexes(plain, name, session, comment, kwargs)
        cursor: AsyncCommandCursor[Mapping[str, Any]] = AsyncCommandCursor(opening, session)
        await drive(cursor._start())
        return cursor

    async def create_search_index(
        self,
        model: Mapping[str, Any] | SearchIndexModel,
        session: AsyncClientSession | None = None,
        comment: Any = None,
        **kwargs: Any,
    ) -> str:
        """Create a search index and return its name; it is built in the background.

        :param model: a SearchIndexModel, or its arguments as a mapping: `definition`, `name`
        :param kwargs: further elements of the command: `maxTimeMS`, ...
        :param comment: any value, to find the command by in the server's log and profiler
        """
        calls = search_index_calls
        names = await drive(calls.create_search_index(self, model, session, comment, kwargs))
        return names[0]

    async def create_search_indexes(
        self,
        models: list[SearchIndexModel],
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Create several search indexes with one command and return their names.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        return await drive(
            search_index_calls.create_search_indexes(self, models, session, comment, kwargs)
        )

    async def drop_search_index(
        self,
        name: str,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> None:
        """Delete a search index by its name; no error if the collection does not exist.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        await drive(search_index_calls.drop_search_index(self, name, session, comment, kwargs))

    async def update_search_index(
        self,
        name: str,
        definition: Mapping[str, Any],
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> None:
        """Replace the definition of a search index; no error if the collection does not exist.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        await drive(
            search_index_calls.update_search_index(self, name, definition, session, comment, kwargs)
        )

    async def options(
        self, session: AsyncClientSession | None = None, comment: Any | None = None
    ) -> MutableMapping[str, Any]:
        """The options the collection was created with; empty if it does not exist.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        database = self._own_database()
        by_name = {"name": self._name}
        cursor = await database.list_collections(session=session, filter=by_name, comment=comment)
        described = await every(cursor)
        options: dict[str, Any] = described[0].get("options", {}) if described else {}
        options.pop("create", None)
        return options

    async def rename(
        self,
        new_name: str,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        **kwargs: Any,
    ) -> MutableMapping[str, Any]:
        """Give the collection another name within its database.

        :param kwargs: further elements of the command, such as `dropTarget=True`
        :param comment: any value, to find the command by in the server's log and profiler

        Raises InvalidName for a name no collection can have.
        """
        return await drive(database_calls.rename(self, new_name, session, comment, kwargs))

    async def drop(
        self,
        session: AsyncClientSession | None = None,
        comment: Any | None = None,
        encrypted_fields: Mapping[str, Any] | None = None,
    ) -> None:
        """Delete the collection with its documents and indexes; no error if there is none.

        :param comment: any value, to find the command by in the server's log and profiler
        """
        await self._own_database().drop_collection(
            self._name, session=session, comment=comment, encrypted_fields=encrypted_fields
        )

    def _own_database(self) -> AsyncDatabase[Any]:
        """The client's database of that name with the options of this collection."""
        return self._database.client.get_database(
            self._database.name,
            self._codec_options,
            self._read_preference,
            self._write_concern,
            self._read_concern,
        )

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncCollection):
            return bool(self._database == other._database and self._name == other._name)
        return NotImplemented

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self._database, self._name))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database!r}, {self._name!r})"


_FIND = AsyncCollection.find
find_calls.show_arguments(AsyncCollection.find_one, _FIND)
_WITH_OPTIONS = AsyncCollection.with_options
_NEXT, _ANEXT = AsyncCursor.next, AsyncCursor.__anext__
