"""GridFS on a real server: what is stored and read, what goes wrong, on both APIs."""

import asyncio
import contextlib
import io
import zipfile

import pytest
from bson import ObjectId
from gridfs.errors import CorruptGridFile, FileExists, NoFile
from pymongo import ReadPreference, WriteConcern
from pymongo.errors import (
    ConfigurationError,
    InvalidOperation,
    OperationFailure,
    WriteConcernError,
)
from tests.drivers import AsyncDriver, SyncDriver, both_drivers, ferromongo_only
from tests.listeners import Recorder

# Where PyMongo keeps how much is gathered before it is sent.
API = {"sync": "synchronous", "async": "asynchronous"}
TEXT = b"Put the kettle on,\nPolly.\nWe'll all have tea."


@contextlib.asynccontextmanager
async def opened(driver, uri, name, **options):
    """A database's bucket of four-byte chunks, and what it sends."""
    recorder = Recorder()
    async with driver.client(uri, event_listeners=[recorder], **options) as client:
        yield driver.gridfs("GridFSBucket", client[name], chunk_size_bytes=4), client, recorder


def sent(recorder):
    names = [next(iter(command)) for command in recorder.sent()]
    recorder.events.clear()
    return names


@both_drivers
async def test_what_is_written_is_read(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        key = await bucket.upload_from_stream("tea", TEXT, metadata={"lang": "en"})
        file = await bucket.open_download_stream(key)
        assert (file._id, file.name, file.length) == (key, "tea", len(TEXT))
        assert (file.chunk_size, file.metadata) == (4, {"lang": "en"})
        assert await file.read() == TEXT
        copy = io.BytesIO()
        await bucket.download_to_stream(key, copy)
        assert copy.getvalue() == TEXT
        chunks = await client[mongodb_database_name].fs.chunks.find(sort={"n": 1}).to_list()
        assert [chunk["data"] for chunk in chunks] == [
            TEXT[at : at + 4] for at in range(0, len(TEXT), 4)
        ]


@both_drivers
async def test_revisions(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        fs = driver.gridfs("GridFS", client[mongodb_database_name])
        for number in range(3):
            await fs.put(b"%d" % number, filename="a", number=number)
            await driver.sleep(0.002)
        for revision, contents in ((0, b"0"), (1, b"1"), (-1, b"2"), (-3, b"0")):
            file = await bucket.open_download_stream_by_name("a", revision)
            assert await file.read() == contents
            assert await (await fs.get_version("a", revision)).read() == contents
        assert await (await fs.get_last_version(number=1)).read() == b"1"
        for missing in (3, -4):
            with pytest.raises(NoFile):
                await bucket.open_download_stream_by_name("a", missing)
        await bucket.rename_by_name("a", "b")
        assert await fs.list() == ["b"]
        assert [await file.read() async for file in fs.find().sort("number", -1).limit(2)] == [
            b"2",
            b"1",
        ]
        await bucket.delete_by_name("b")
        for refused in (
            lambda: bucket.delete_by_name("b"),
            lambda: bucket.rename_by_name("b", "c"),
            lambda: bucket.rename(0, "c"),
            lambda: bucket.delete(0),
        ):
            with pytest.raises(NoFile):
                await refused()
        assert await fs.find_one() is None
        assert not await fs.exists()
        assert await client[mongodb_database_name].fs.chunks.count_documents({}) == 0


@both_drivers
async def test_only_the_first_file_makes_indexes(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, recorder):
        await bucket.upload_from_stream("a", b"x")
        made = ["find", "listIndexes", "createIndexes"]
        assert sent(recorder) == [*made, *made, "insert", "insert"]
        await bucket.upload_from_stream("a", b"")
        assert sent(recorder) == ["find", "find", "insert"]
        indexes = await client[mongodb_database_name].fs.chunks.index_information()
        assert indexes["files_id_1_n_1"]["unique"]


@both_drivers
async def test_an_id_is_taken_once(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
        await bucket.upload_from_stream_with_id(1, "a", b"first")
        for contents in (b"again", b""):
            with pytest.raises(FileExists):
                await bucket.upload_from_stream_with_id(1, "a", contents)
        assert await (await bucket.open_download_stream(1)).read() == b"first"
        # A source that fails takes back only what it stored.
        with pytest.raises((OSError, FileExists)):
            await bucket.upload_from_stream_with_id(1, "a", Trickle([b"1234", b"5", OSError()]))
        assert await (await bucket.open_download_stream(1)).read() == b"first"
        # An _id is no query.
        with pytest.raises((NoFile, OperationFailure)):
            await bucket.delete({"$gt": 0})
        assert await (await bucket.open_download_stream(1)).read() == b"first"


@both_drivers
async def test_what_the_fields_are_called(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (_, client, _):
        root = client[mongodb_database_name].fs
        file = driver.gridfs("GridIn", root, content_type="text/plain", chunk_size=3, owner="me")
        assert isinstance(file._id, ObjectId)
        assert (file.owner, file.chunk_size, file.filename) == ("me", 3, None)
        await file.set("filename", "tea")
        assert file.name == "tea"
        for unknown in ("length", "upload_date", "colour"):
            with pytest.raises(AttributeError):
                getattr(file, unknown)
        with pytest.warns(DeprecationWarning, match="GridIn property 'contentType'"):
            assert file.content_type == "text/plain"
        await file.writelines([b"a", b"bcd"])
        await file.close()
        await file.close()
        assert file.closed
        assert file.length == 4
        with pytest.raises(ValueError, match="closed"):
            await file.write(b"more")
        await file.set("colour", "red")
        again = driver.gridfs("GridOut", root, file._id)
        await again.open()
        assert (again.colour, again.owner, again.uploadDate) == ("red", "me", again.upload_date)
        with pytest.raises(AttributeError):
            _ = again.taste
        with pytest.raises(NoFile):
            await driver.gridfs("GridOut", root, 5).open()


def test_attributes_of_files_are_fields(mongodb_uri, mongodb_database_name):
    driver = SyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
            with bucket._target.open_upload_stream("a") as file:
                file.filename = "b"
                file.colour = "red"
            file.colour = "blue"
            file.name = "c"
            found = bucket._target.find()[0]
            assert (found.colour, found.filename) == ("blue", "c")

    driver.run(body())


@ferromongo_only  # PyMongo fetches the file
def test_nothing_is_asked_for_pythons_own_attributes(mongodb_uri, mongodb_database_name):
    driver = SyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (_, client, recorder):
            file = driver.gridfs("GridOut", client[mongodb_database_name].fs, 1)._target
            assert not file.closed
            assert not hasattr(file, "__array__")
            assert sent(recorder) == []
            with pytest.raises(NoFile):
                _ = file.colour
            assert sent(recorder) == ["find"]

    driver.run(body())


def test_an_unopened_asynchronous_file_tells_nothing(mongodb_uri, mongodb_database_name):
    driver = AsyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
            async with bucket.open_upload_stream("a") as written:
                written.colour = "red"
            with pytest.raises(AttributeError):
                written.colour = "blue"
            with pytest.raises(InvalidOperation):
                written.filename = "b"
            file = driver.gridfs("GridOut", client[mongodb_database_name].fs, written._id)
            for name in ("length", "colour"):
                with pytest.raises(InvalidOperation, match="open"):
                    getattr(file, name)
            await file.open()
            assert file.colour == "red"

    driver.run(body())


def test_a_file_is_one_of_pythons(mongodb_uri, mongodb_database_name):
    driver = SyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w") as packed:
                packed.writestr("tea.txt", TEXT)
            archive.seek(0)
            await bucket.upload_from_stream("zip", archive)
            file = bucket._target.open_download_stream_by_name("zip")
            assert isinstance(file, io.IOBase)
            assert zipfile.ZipFile(file).read("tea.txt") == TEXT
            assert file.readable()
            assert file.seekable()
            assert not file.writable()
            for refused in (file.fileno, file.truncate, lambda: file.write(b"")):
                with pytest.raises(io.UnsupportedOperation):
                    refused()
            with file:
                pass
            assert file.closed

    driver.run(body())


@both_drivers
async def test_str_needs_an_encoding(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (_, client, _):
        fs = driver.gridfs("GridFS", client[mongodb_database_name])
        key = await fs.put("Tee für zwei", encoding="latin-1")
        assert await (await fs.get(key)).read() == "Tee für zwei".encode("latin-1")
        for wrong in ("text", 5, bytearray(b"x")):
            with pytest.raises(TypeError):
                await fs.put(wrong)


@both_drivers
async def test_no_part_of_a_transaction(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, recorder):
        await bucket.upload_from_stream("a", b"x")
        fs = driver.gridfs("GridFS", client[mongodb_database_name])
        async with client.start_session() as session:
            await bucket.upload_from_stream("b", b"y", session=session)
            file = await bucket.open_download_stream_by_name("b", session=session)
            cursor = bucket.find(session=session)
            sent(recorder)
            await session.start_transaction()
            for refused in (
                lambda: bucket.upload_from_stream("c", b"z", session=session),
                lambda: bucket.open_download_stream(1, session),
                lambda: bucket.open_download_stream_by_name("a", session=session),
                lambda: bucket.delete(1, session),
                lambda: bucket.delete_by_name("a", session),
                lambda: bucket.rename(1, "c", session),
                lambda: bucket.rename_by_name("a", "c", session),
                lambda: bucket.find(session=session),
                lambda: fs.list(session),
                lambda: fs.exists(1, session),
                lambda: fs.delete(1, session),
                lambda: fs.find_one(1, session),
                lambda: fs.get_last_version("a", session),
                lambda: file.read(),
                lambda: cursor.next(),
            ):
                with pytest.raises(InvalidOperation, match="transaction"):
                    await refused()
            await session.abort_transaction()
            assert sent(recorder) == []
            assert await file.read() == b"y"


@both_drivers
async def test_writes_must_be_acknowledged(driver, mongodb_uri, mongodb_database_name):
    async with driver.client(mongodb_uri, w=0) as client:
        database = client[mongodb_database_name]
        for kind, place in (
            ("GridFS", database),
            ("GridFSBucket", database),
            ("GridIn", database.fs),
        ):
            with pytest.raises(ConfigurationError):
                driver.gridfs(kind, place)


@both_drivers
async def test_a_forgotten_cursor_is_opened_anew(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, recorder):
        contents = bytes(range(200)) * 4
        key = await bucket.upload_from_stream("a", contents)
        file = await bucket.open_download_stream(key)
        sent(recorder)
        assert await file.read(3) == contents[:3]
        [reply] = [event.reply for event in recorder.commands("find") if hasattr(event, "reply")]
        database = client[mongodb_database_name]
        await database.command("killCursors", "fs.chunks", cursors=[reply["cursor"]["id"]])
        assert await file.read() == contents[3:]
        assert sent(recorder) == ["find", "killCursors", "getMore", "find"]


@ferromongo_only  # PyMongo says that the file is corrupt
@both_drivers
async def test_a_failed_read_can_be_repeated(
    driver, mongodb_uri, mongodb_database_name, mongodb_replica_set
):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
        contents = bytes(range(200)) * 4
        key = await bucket.upload_from_stream("a", contents)
        file = await bucket.open_download_stream(key)
        assert await file.read(10) == contents[:10]
        with mongodb_replica_set.failpoint(failCommands=["getMore"], errorCode=2, times=1):
            with pytest.raises(OperationFailure):
                await file.read()
            assert await file.read() == contents[10:]


@both_drivers
async def test_corrupt_files(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        chunks = client[mongodb_database_name].fs.chunks

        async def read_after(change, of=b"123456789"):
            key = await bucket.upload_from_stream("a", of)
            await change(key)
            return await (await bucket.open_download_stream(key)).read()

        async def lose(key):
            await chunks.delete_one({"files_id": key, "n": 1})

        async def lose_last(key):
            await chunks.delete_one({"files_id": key, "n": 2})

        async def cut(key):
            await chunks.update_one({"files_id": key, "n": 1}, {"$set": {"data": b"56"}})

        async def add(key):
            await chunks.insert_one({"files_id": key, "n": 3, "data": b"x"})

        def say(length):
            async def change(key):
                files = client[mongodb_database_name].fs.files
                await files.update_one({"_id": key}, {"$set": {"length": length}})

            return change

        lies = [say(length) for length in (8, 10, 10**15, 2**63 - 1)]
        for change in (lose, lose_last, cut, add, *lies):
            with pytest.raises(CorruptGridFile):
                await read_after(change)
        assert await read_after(add, of=b"") == b""


@ferromongo_only  # in PyMongo the bucket's options do not reach its files
@both_drivers
async def test_options_of_the_bucket(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (_, client, recorder):
        bucket = driver.gridfs(
            "GridFSBucket",
            client[mongodb_database_name],
            write_concern=WriteConcern(w=3, j=True),
            read_preference=ReadPreference.NEAREST,
        )
        key = await bucket.upload_from_stream("a", b"x")
        assert {
            (command["writeConcern"]["j"], command["writeConcern"]["w"])
            for command in recorder.sent("insert")
        } == {(True, 3)}
        recorder.events.clear()
        await (await bucket.open_download_stream(key)).read()
        preferences = [command["$readPreference"] for command in recorder.sent()]
        assert preferences == [{"mode": "nearest"}] * 2


@ferromongo_only  # PyMongo looks at the session argument only
@both_drivers
async def test_no_part_of_a_bound_transaction(driver, mongodb_uri, mongodb_database_name):
    async with (
        opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _),
        client.start_session() as session,
    ):
        await session.start_transaction()
        async with session.bind(end_session=False):
            with pytest.raises(InvalidOperation, match="transaction"):
                await bucket.upload_from_stream("a", b"x")
        await session.abort_transaction()


class Trickle:
    """A source that answers a few bytes at a time, as a socket does."""

    def __init__(self, parts):
        self.parts = list(parts)

    def read(self, size):
        part = self.parts.pop(0) if self.parts else b""
        if isinstance(part, Exception):
            raise part
        assert len(part) <= size
        return part


@ferromongo_only  # PyMongo stops at the first short read
@both_drivers
async def test_a_source_that_answers_a_little_at_a_time(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
        parts = [b"1", b"234", b"56", b"7", b"8", b"9012"]
        key = await bucket.upload_from_stream("a", Trickle(parts))
        assert await (await bucket.open_download_stream(key)).read() == b"".join(parts)


@ferromongo_only  # its batches are made small
@both_drivers
async def test_batches(driver, mongodb_uri, mongodb_database_name, monkeypatch):
    monkeypatch.setattr(f"gridfs.{API[driver.name]}.grid_file._UPLOAD_BUFFER_SIZE", 3 * (4 + 60))
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, recorder):
        chunks = client[mongodb_database_name].fs.chunks
        file = bucket.open_upload_stream("a")
        await file.write(b"x" * 11)
        assert await chunks.count_documents({}) == 0
        await file.write(b"x" * 20)
        assert await chunks.count_documents({}) == 6
        await file.abort()
        assert file.closed
        assert await chunks.count_documents({}) == 0
        sent(recorder)
        # A source that fails leaves nothing behind, however far it was read.
        with pytest.raises(OSError, match="gone"):
            await bucket.upload_from_stream("a", Trickle([b"x" * 4] * 5 + [OSError("gone")]))
        assert sent(recorder)[-3:] == ["insert", "delete", "delete"]
        assert await chunks.count_documents({}) == 0


@ferromongo_only  # its batches are made small
@both_drivers
async def test_a_write_concern_that_fails(
    driver, mongodb_uri, mongodb_database_name, mongodb_replica_set, monkeypatch
):
    monkeypatch.setattr(f"gridfs.{API[driver.name]}.grid_file._UPLOAD_BUFFER_SIZE", 60)
    failed = {"code": 100, "errmsg": "Not enough data-bearing nodes"}
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
        with (
            mongodb_replica_set.failpoint(failCommands=["insert"], writeConcernError=failed),
            pytest.raises(WriteConcernError, match="Not enough"),
        ):
            await bucket.upload_from_stream("a", b"1234")


@ferromongo_only  # PyMongo asks anew
@both_drivers
async def test_seeking_within_a_chunk_asks_nothing(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, recorder):
        key = await bucket.upload_from_stream("a", b"1234567890")
        file = await bucket.open_download_stream(key)
        assert await file.read(2) == b"12"
        sent(recorder)
        assert await file.seek(1) == 1
        assert await file.read(2) == b"23"
        assert await file.seek(4) == 4
        assert await file.readchunk() == b"5678"
        assert sent(recorder) == []


@ferromongo_only  # PyMongo takes an empty chunk at the end for a short one
@both_drivers
async def test_an_empty_chunk_at_the_end_does_no_harm(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        key = await bucket.upload_from_stream("a", b"1234")
        chunks = client[mongodb_database_name].fs.chunks
        await chunks.insert_one({"files_id": key, "n": 1, "data": b""})
        assert await (await bucket.open_download_stream(key)).read() == b"1234"


@ferromongo_only  # PyMongo never reads there and stores nothing
@both_drivers
async def test_a_chunk_has_a_size(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        for wrong, error in ((0, ValueError), (-1, ValueError), (1.5, TypeError)):
            with pytest.raises(error, match="chunk_size"):
                bucket.open_upload_stream("a", chunk_size_bytes=wrong)
        files = client[mongodb_database_name].fs.files
        await files.insert_one({"_id": 1, "length": 5, "chunkSize": 0})
        with pytest.raises(CorruptGridFile):
            await (await bucket.open_download_stream(1)).read()


@ferromongo_only  # PyMongo does not await a destination, and its files are no destinations
def test_asynchronous_sources_and_destinations(mongodb_uri, mongodb_database_name):
    driver = AsyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
            source = asyncio.StreamReader()
            source.feed_data(TEXT)
            source.feed_eof()
            key = await bucket.upload_from_stream("a", source)
            async with bucket.open_upload_stream("b") as copy:
                await bucket.download_to_stream(key, copy)
            assert await (await bucket.open_download_stream_by_name("b")).read() == TEXT

    driver.run(body())


@ferromongo_only  # PyMongo says that the file is corrupt
def test_a_cancelled_read_can_be_repeated(mongodb_uri, mongodb_database_name, mongodb_replica_set):
    driver = AsyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
            key = await bucket.upload_from_stream("a", TEXT)
            file = await bucket.open_download_stream(key)
            slow = mongodb_replica_set.failpoint(
                failCommands=["find"], blockConnection=True, blockTimeMS=700
            )
            with slow, pytest.raises(TimeoutError):
                await asyncio.wait_for(file.read(), 0.1)
            assert await file.read() == TEXT

    driver.run(body())


@both_drivers
async def test_programs_may_patch_how_much_is_gathered_before_it_is_sent(
    driver, mongodb_uri, mongodb_database_name, monkeypatch
):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, recorder):
        file = bucket.open_upload_stream("a")
        with monkeypatch.context() as patches:
            patches.setattr(f"gridfs.{API[driver.name]}.grid_file._UPLOAD_BUFFER_CHUNKS", 3)
            await file.write(b"a" * 11)
            assert not recorder.sent("insert")
            await file.write(b"a")
            assert len(recorder.sent("insert")) == 1
        with monkeypatch.context() as patches:
            patches.setattr(f"gridfs.{API[driver.name]}.grid_file._UPLOAD_BUFFER_SIZE", 100)
            await file.write(b"a" * 16)
            assert len(recorder.sent("insert")) == 3
        await file.close()
        read = await (await bucket.open_download_stream_by_name("a")).read()
        assert read == b"a" * 28
        chunks = client[mongodb_database_name].fs.chunks
        assert await chunks.count_documents({}) == 7


LARGE = bytes(range(256)) * (9 << 12)  # 9 MiB


@ferromongo_only  # PyMongo sends as much as a message holds, and asks for what a reply holds
@both_drivers
async def test_large_files_go_in_parts_of_a_few_megabytes(
    driver, mongodb_uri, mongodb_database_name
):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (_, client, recorder):
        bucket = driver.gridfs("GridFSBucket", client[mongodb_database_name])
        by_id = driver.gridfs("GridFSBucket", client[mongodb_database_name], "by_id")
        await bucket.upload_from_stream("made", b"the indexes")
        recorder.events.clear()
        key = await bucket.upload_from_stream("bytes", LARGE)
        inserts = [len(command["documents"]) for command in recorder.sent("insert")]
        assert sorted(inserts) == [1, 3, 17, 17]  # one is of the file
        await by_id.upload_from_stream_with_id(1, "read", io.BytesIO(LARGE))
        async with by_id.open_upload_stream_with_id(2, "written") as file:
            for at in range(0, len(LARGE), 100_000):
                await file.write(LARGE[at : at + 100_000])
        for each, files in ((key, bucket), (1, by_id), (2, by_id)):
            recorder.events.clear()
            file = await files.open_download_stream(each)
            assert await file.read() == LARGE
            [opening] = [sent for sent in recorder.sent("find") if "batchSize" in sent]
            assert opening["batchSize"] == 16
            batches = [command.get("batchSize") for command in recorder.sent("getMore")]
            assert batches == [16, 16]
            copy = io.BytesIO()
            await files.download_to_stream(each, copy)
            assert copy.getvalue() == LARGE
            await file.seek(300_000)
            assert await file.read(6_000_000) == LARGE[300_000:6_300_000]
            assert await file.readline() == LARGE[6_300_000 : LARGE.index(b"\n", 6_300_000) + 1]


@both_drivers
async def test_one_connection_is_enough(driver, mongodb_uri, mongodb_database_name):
    """Also where an open file is copied piece by piece."""
    options = {"maxPoolSize": 1, "waitQueueTimeoutMS": 30_000}
    async with opened(driver, mongodb_uri, mongodb_database_name, **options) as (_, client, _):
        bucket = driver.gridfs("GridFSBucket", client[mongodb_database_name])
        key = await bucket.upload_from_stream("a", LARGE)
        file = await bucket.open_download_stream(key)
        async with bucket.open_upload_stream("b") as copy:
            while part := await file.readchunk():
                await copy.write(part)
        async with client.start_session() as session:
            again = await bucket.open_download_stream(copy._id, session)
            assert await again.read() == LARGE
            await bucket.upload_from_stream("c", LARGE, session=session)


@ferromongo_only  # PyMongo stores files with a gap
def test_a_write_that_was_cancelled_leaves_nothing_after_abort(
    mongodb_uri, mongodb_database_name, mongodb_replica_set
):
    driver = AsyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (_, client, recorder):
            bucket = driver.gridfs("GridFSBucket", client[mongodb_database_name])
            await bucket.upload_from_stream("made", b"the indexes")
            file = bucket.open_upload_stream("a")
            recorder.events.clear()
            slow = mongodb_replica_set.failpoint(
                failCommands=["insert"], blockConnection=True, blockTimeMS=2000
            )
            with slow:
                writing = asyncio.ensure_future(file.write(LARGE * 8))
                while not recorder.sent("insert"):
                    await asyncio.sleep(0.01)
                writing.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await writing
            for refused in (lambda: file.write(b"more"), file.close):
                with pytest.raises(InvalidOperation, match="abort"):
                    await refused()
            await file.abort()
            chunks = client[mongodb_database_name].fs.chunks
            assert await chunks.count_documents({"files_id": file._id}) == 0

    driver.run(body())


@both_drivers
async def test_wrapped_methods_see_the_chunks(
    driver, mongodb_uri, mongodb_database_name, monkeypatch
):
    """Agents that watch a program wrap the public methods of its collections."""
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        database = client[mongodb_database_name]
        kind = type(getattr(database, "_target", database).fs)
        seen = []
        for name in ("insert_many", "find"):
            plain = getattr(kind, name)

            def wrapped(self, *args, _plain=plain, _name=name, **kwargs):
                seen.append((_name, self.name))
                return _plain(self, *args, **kwargs)

            monkeypatch.setattr(kind, name, wrapped)
        key = await bucket.upload_from_stream("a", TEXT)
        assert ("insert_many", "fs.chunks") in seen
        assert await (await bucket.open_download_stream(key)).read() == TEXT
        assert ("find", "fs.chunks") in seen
