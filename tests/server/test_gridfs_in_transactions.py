"""Files in the transaction of a session, which takes a bucket that was made for it."""

import contextlib
import io

import pytest
from gridfs.errors import NoFile
from pymongo.errors import InvalidOperation, OperationFailure
from tests.drivers import both_drivers, ferromongo_only
from tests.server.test_gridfs import TEXT, Trickle

from ferromongo._calls import gridfs_files

pytestmark = ferromongo_only
CHUNK = {"chunk_size_bytes": 4}


@contextlib.asynccontextmanager
async def transactional(driver, uri, name):
    async with driver.client(uri) as client:
        database = client[name]
        bucket = driver.gridfs("GridFSBucket", database, transactions=True)
        async with client.start_session() as session:
            yield bucket, database, session


async def stored(database):
    """The names of the files, and how many chunks there are."""
    names = sorted([file["filename"] async for file in database.fs.files.find()])
    return names, await database.fs.chunks.count_documents({})


@both_drivers
async def test_an_upload_is_committed_or_rolled_back(driver, mongodb_uri, mongodb_database_name):
    async with transactional(driver, mongodb_uri, mongodb_database_name) as (
        bucket,
        database,
        session,
    ):
        # The bucket has no collections yet: its indexes are made outside of the transaction.
        await session.start_transaction()
        key = await bucket.upload_from_stream("a", TEXT, **CHUNK, session=session)
        await database.letters.insert_one({"file": key}, session=session)
        assert await stored(database) == ([], 0)
        file = await bucket.open_download_stream(key, session=session)
        assert await file.read() == TEXT
        await session.abort_transaction()
        assert await stored(database) == ([], 0)
        indexes = await database.fs.chunks.index_information()
        assert indexes["files_id_1_n_1"]["unique"]

        async def work(session):
            key = await bucket.upload_from_stream("b", TEXT, **CHUNK, session=session)
            await database.letters.insert_one({"file": key}, session=session)
            return key

        key = await session.with_transaction(work)
        assert await stored(database) == (["b"], 12)
        assert (await database.letters.find_one())["file"] == key
        assert await (await bucket.open_download_stream(key)).read() == TEXT


@both_drivers
async def test_all_operations_take_part(driver, mongodb_uri, mongodb_database_name, tmp_path):
    async with transactional(driver, mongodb_uri, mongodb_database_name) as (
        bucket,
        database,
        session,
    ):
        fs = driver.gridfs("GridFS", database, transactions=True)
        path = tmp_path / "copy"
        keys = [await bucket.upload_from_stream(name, TEXT, **CHUNK) for name in "abcd"]
        given = {"session": session}
        await session.start_transaction()
        await bucket.rename(keys[0], "A", **given)
        await bucket.rename_by_name("b", "B", **given)
        await bucket.delete(keys[2], **given)
        await bucket.delete_by_name("d", **given)
        await bucket.upload_from_path(_written(tmp_path / "e"), **CHUNK, **given)
        async with bucket.open_upload_stream("f", **CHUNK, **given) as file:
            await file.write(TEXT)
        await fs.put(TEXT, filename="g", chunk_size=4, **given)
        async with fs.new_file(filename="h", chunk_size=4, **given) as file:
            await file.write(b"x")
        for name in "ABefg":
            copy = io.BytesIO()
            await bucket.download_to_stream_by_name(name, copy, **given)
            await bucket.download_to_path_by_name(name, path, **given)
            assert copy.getvalue() == path.read_bytes() == TEXT
        assert sorted([file.filename async for file in bucket.find(**given)]) == list("ABefgh")
        assert len(await fs.find(**given).to_list()) == 6
        assert await fs.exists(keys[0], **given)
        assert await (await fs.get_last_version("h", **given)).read() == b"x"
        assert (await fs.find_one({"filename": "g"}, **given)).filename == "g"
        with pytest.raises(NoFile):
            await bucket.open_download_stream(keys[2], **given)
        assert await stored(database) == (list("abcd"), 48)
        await session.commit_transaction()
        assert await stored(database) == (list("ABefgh"), 61)


def _written(path):
    path.write_bytes(TEXT)
    return path


@both_drivers
async def test_a_bound_session(driver, mongodb_uri, mongodb_database_name):
    async with transactional(driver, mongodb_uri, mongodb_database_name) as (
        bucket,
        database,
        session,
    ):
        await session.start_transaction()
        async with session.bind(end_session=False):
            await bucket.upload_from_stream("a", TEXT, **CHUNK)
            assert len(await bucket.find().to_list()) == 1
        await session.abort_transaction()
        assert await stored(database) == ([], 0)


@both_drivers
async def test_other_sessions_and_buckets_are_refused(driver, mongodb_uri, mongodb_database_name):
    async with transactional(driver, mongodb_uri, mongodb_database_name) as (
        bucket,
        database,
        session,
    ):
        plain = driver.gridfs("GridFSBucket", database)
        await session.start_transaction()
        with pytest.raises(InvalidOperation, match="transactions=True"):
            await plain.upload_from_stream("a", TEXT, session=session)
        await bucket.upload_from_stream("a", TEXT, **CHUNK, session=session)
        async with session.client.start_session() as other:
            await other.start_transaction()
            with pytest.raises(InvalidOperation, match="GridFS does not support"):
                await plain.delete(1, session=other)
        await session.abort_transaction()


@both_drivers
async def test_a_file_that_is_too_large(
    driver, mongodb_uri, mongodb_database_name, monkeypatch, tmp_path
):
    async with transactional(driver, mongodb_uri, mongodb_database_name) as (
        bucket,
        database,
        session,
    ):
        path = tmp_path / "large"
        with path.open("wb") as file:
            file.truncate(gridfs_files.MAX_TRANSACTION_BYTES + 1)
        await session.start_transaction()
        with pytest.raises(InvalidOperation, match=r"33554432 bytes.* 33554433"):
            await bucket.upload_from_path(path, session=session)
        monkeypatch.setattr(gridfs_files, "MAX_TRANSACTION_BYTES", 20)
        for source in (b"x" * 21, io.BytesIO(b"x" * 30), Trickle([b"x"] * 40)):
            with pytest.raises(InvalidOperation, match="20 bytes"):
                await bucket.upload_from_stream("a", source, **CHUNK, session=session)
        file = bucket.open_upload_stream("a", **CHUNK, session=session)
        await file.write(b"x" * 20)
        with pytest.raises(InvalidOperation, match="20 bytes"):
            await file.write(b"x")
        await file.abort()
        await bucket.upload_from_stream("b", b"x" * 20, **CHUNK, session=session)
        await session.commit_transaction()
        assert await stored(database) == (["b"], 5)
        # There is no limit for others.
        await bucket.upload_from_stream("c", b"x" * 21, **CHUNK, session=session)
        await bucket.upload_from_stream("d", b"x" * 21, **CHUNK)


@both_drivers
async def test_a_source_that_fails_leaves_nothing_in_the_transaction(
    driver, mongodb_uri, mongodb_database_name, monkeypatch
):
    api = {"sync": "synchronous", "async": "asynchronous"}[driver.name]
    monkeypatch.setattr(f"gridfs.{api}.grid_file._UPLOAD_BUFFER_CHUNKS", 2)
    async with transactional(driver, mongodb_uri, mongodb_database_name) as (
        bucket,
        database,
        session,
    ):
        await session.start_transaction()
        for progress in (None, lambda done, total: None):
            with pytest.raises(OSError, match="gone"):
                await bucket.upload_from_stream(
                    "a",
                    Trickle([b"x" * 4] * 5 + [OSError("gone")]),
                    **CHUNK,
                    session=session,
                    progress=progress,
                )
        await bucket.upload_from_stream("b", TEXT, **CHUNK, session=session)
        await session.commit_transaction()
        assert await stored(database) == (["b"], 12)


@both_drivers
async def test_an_error_of_the_server_is_raised_as_it_is(
    driver, mongodb_uri, mongodb_database_name
):
    async with transactional(driver, mongodb_uri, mongodb_database_name) as (
        bucket,
        database,
        session,
    ):
        await bucket.upload_from_stream("a", TEXT, **CHUNK)
        await session.start_transaction()
        await bucket.upload_from_stream("b", TEXT, **CHUNK, session=session)
        await database.client.admin.command("killSessions", [session.session_id])
        with pytest.raises(OperationFailure) as raised:
            await bucket.upload_from_stream("c", TEXT, **CHUNK, session=session)
        assert raised.value.code == 251  # NoSuchTransaction
        assert not getattr(raised.value, "__notes__", None)
        await session.abort_transaction()
        assert await stored(database) == (["a"], 12)


@both_drivers
async def test_more_than_a_document_may_have(driver, mongodb_uri, mongodb_database_name):
    data = b"0123456789abcdef" * (17 << 16)
    async with transactional(driver, mongodb_uri, mongodb_database_name) as (
        bucket,
        _,
        session,
    ):
        await session.start_transaction()
        key = await bucket.upload_from_stream("a", data, session=session)
        await session.commit_transaction()
        assert await (await bucket.open_download_stream(key)).read() == data
