"""Whole files between GridFS and paths, file objects and buffers, with progress, on both APIs."""

import asyncio
import io
import os
import sys
import types

import anyio
import pytest
from gridfs.errors import NoFile
from tests.drivers import AsyncDriver, SyncDriver, both_drivers, ferromongo_only
from tests.server.test_gridfs import TEXT, opened, sent

from ferromongo.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorGridFSBucket

pytestmark = ferromongo_only
DATA = bytes(range(256)) * 5000  # more than a block of a local file


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "tea.bin"
    path.write_bytes(DATA)
    return path


def left(folder):
    return sorted(path.name for path in folder.iterdir())


async def contents(bucket, key):
    return await (await bucket.open_download_stream(key)).read()


@both_drivers
async def test_paths_in_and_out(driver, mongodb_uri, mongodb_database_name, source, tmp_path):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
        size = {"chunk_size_bytes": 100_000}
        key = await bucket.upload_from_path(source, metadata={"a": 1}, **size)
        file = await bucket.open_download_stream(key)
        assert (file.filename, file.metadata, file.chunk_size) == ("tea.bin", {"a": 1}, 100_000)
        assert await file.read() == DATA
        other = await bucket.upload_from_path(str(source), "other", **size)
        again = await bucket.upload_from_stream("again", source, **size)
        await bucket.upload_from_stream_with_id(5, "five", source, **size)
        for stored in (other, again, 5):
            assert await contents(bucket, stored) == DATA
        fs = driver.gridfs("GridFS", (await bucket_database(bucket)), "fs")
        assert await contents(bucket, await fs.put(source, chunk_size=100_000)) == DATA

        copies = [tmp_path / f"copy {n}" for n in range(4)]
        await bucket.download_to_path(key, copies[0])
        await bucket.download_to_path_by_name("other", str(copies[1]))
        await bucket.download_to_stream(key, copies[2])
        await bucket.download_to_stream_by_name("five", copies[3], 0)
        assert [copy.read_bytes() for copy in copies] == [DATA] * 4
        assert left(tmp_path) == ["copy 0", "copy 1", "copy 2", "copy 3", "tea.bin"]


async def bucket_database(bucket):
    return bucket._collection.database


@both_drivers
async def test_an_existing_file_is_replaced_when_the_new_one_is_whole(
    driver, mongodb_uri, mongodb_database_name, tmp_path
):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        key = await bucket.upload_from_stream("a", TEXT)
        path, link = tmp_path / "a", tmp_path / "link"
        path.write_bytes(b"old")
        path.chmod(0o640)
        link.symlink_to(path)

        def look(done, total):
            # A program that is killed here leaves what was there.
            assert path.read_bytes() == b"old"

        await bucket.download_to_path(key, link, progress=look)
        assert path.read_bytes() == TEXT
        assert path.stat().st_mode & 0o777 == 0o640
        assert link.is_symlink()
        # Downloads that fail at any step leave it as it is, and nothing else.
        await client[mongodb_database_name].fs.chunks.delete_one({"files_id": key, "n": 5})
        for refused, error in (
            (lambda: bucket.download_to_path(key, path), "missing"),
            (lambda: bucket.download_to_path(7, path), "no file"),
            (lambda: bucket.download_to_path(key, path, progress=5), "progress"),
            (lambda: bucket.download_to_path(key, tmp_path), "directory"),
            (lambda: bucket.download_to_path(key, tmp_path / "no" / "a"), "No such file"),
            (lambda: bucket.download_to_path(key, 5), "path"),
            (lambda: bucket.upload_from_path(tmp_path / "no"), "No such file"),
            (lambda: bucket.upload_from_path(5), "path"),
        ):
            with pytest.raises((OSError, NoFile, TypeError, Exception), match=error):
                await refused()
        assert path.read_bytes() == TEXT
        assert left(tmp_path) == ["a", "link"]
        assert await client[mongodb_database_name].fs.files.count_documents({}) == 1


@both_drivers
async def test_progress(driver, mongodb_uri, mongodb_database_name, source, tmp_path):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
        seen = []

        def progress(done, total):
            seen.append((done, total))

        def steps(length, step, total="known"):
            total = length if total == "known" else total
            expected = [(done, total) for done in (*range(0, length, step), length)]
            found = seen[:]
            seen.clear()
            assert found == expected

        key = await bucket.upload_from_stream("a", b"1234567890", progress=progress)
        steps(10, 4)
        await bucket.upload_from_stream_with_id(1, "a", io.BytesIO(b"12345"), progress=progress)
        steps(5, 4)
        await bucket.upload_from_stream("a", b"", progress=progress)
        assert seen.pop() == (0, 0)
        with source.open("rb") as file:
            file.seek(len(DATA) - 6)
            await bucket.upload_from_stream("a", file, progress=progress)
        steps(6, 4)
        await bucket.upload_from_stream("a", Unmeasured(b"12345678"), progress=progress)
        steps(8, 4, None)
        big = await bucket.upload_from_path(source, chunk_size_bytes=300_000, progress=progress)
        steps(len(DATA), 900_000)
        await bucket.download_to_stream(key, io.BytesIO(), progress=progress)
        steps(10, 4)
        await bucket.download_to_path(big, tmp_path / "copy", progress=progress)
        steps(len(DATA), 300_000)
        assert (tmp_path / "copy").read_bytes() == DATA
        await bucket.download_to_stream_by_name("a", io.BytesIO(), progress=False)
        await bucket.download_to_path_by_name("a", tmp_path / "copy", progress=progress)
        steps(8, 4)


class Unmeasured:
    def __init__(self, data):
        self._data = io.BytesIO(data)

    def read(self, size):
        return self._data.read(size)


@both_drivers
async def test_a_progress_that_raises_undoes_the_transfer(
    driver, mongodb_uri, mongodb_database_name, monkeypatch, source, tmp_path
):
    api = {"sync": "synchronous", "async": "asynchronous"}[driver.name]
    monkeypatch.setattr(f"gridfs.{api}.grid_file._UPLOAD_BUFFER_CHUNKS", 2)

    def enough(done, total):
        if done > 20:
            raise InterruptedError(done)

    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, recorder):
        key = await bucket.upload_from_stream("a", TEXT)
        database = client[mongodb_database_name]
        before = await database.fs.chunks.count_documents({})
        recorder.events.clear()
        for upload in (
            lambda: bucket.upload_from_stream("b", TEXT, progress=enough),
            lambda: bucket.upload_from_stream("b", io.BytesIO(TEXT), progress=enough),
            lambda: bucket.upload_from_path(source, chunk_size_bytes=50_000, progress=enough),
        ):
            with pytest.raises(InterruptedError):
                await upload()
            assert recorder.sent("insert"), "nothing was stored that could be taken back"
            recorder.events.clear()
            assert await database.fs.chunks.count_documents({}) == before
        with pytest.raises(InterruptedError):
            await bucket.download_to_path(key, tmp_path / "b", progress=enough)
        assert left(tmp_path) == ["tea.bin"]
        for wrong in (5, "yes"):
            with pytest.raises(TypeError, match="progress"):
                await bucket.upload_from_stream("b", TEXT, progress=wrong)
        assert await database.fs.files.count_documents({}) == 1


@both_drivers
async def test_a_bar(driver, mongodb_uri, mongodb_database_name, monkeypatch, tmp_path):
    bars = []

    class Bar:
        """What the transfers use of tqdm."""

        def __init__(self, **options):
            self.options, self.n, self.closed = options, 0, False
            bars.append(self)

        def update(self, count):
            self.n += count

        def close(self):
            self.closed = True

    monkeypatch.setitem(sys.modules, "tqdm", types.ModuleType("tqdm"))
    monkeypatch.setitem(sys.modules, "tqdm.auto", types.SimpleNamespace(tqdm=Bar))
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
        key = await bucket.upload_from_stream("a", TEXT, progress=True)
        await bucket.download_to_path(key, tmp_path / "a", progress=True)
        assert [(bar.n, bar.closed) for bar in bars] == [(len(TEXT), True)] * 2
        assert {(bar.options["total"], bar.options["desc"]) for bar in bars} == {(len(TEXT), "a")}
        monkeypatch.setitem(sys.modules, "tqdm.auto", None)
        for refused in (
            lambda: bucket.upload_from_stream("b", TEXT, progress=True),
            lambda: bucket.download_to_stream(key, io.BytesIO(), progress=True),
        ):
            with pytest.raises(ImportError, match="pip install tqdm"):
                await refused()
        assert [file.filename async for file in bucket.find()] == ["a"]


def test_asynchronous_file_objects(mongodb_uri, mongodb_database_name, source, tmp_path):
    driver = AsyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
            seen = []

            async def progress(done, total):
                await asyncio.sleep(0)
                seen.append((done, total))

            async with await anyio.open_file(source, "rb") as file:
                key = await bucket.upload_from_stream("a", file, 300_000, progress=progress)
            assert seen[-1] == (len(DATA), None)
            copy = tmp_path / "copy"
            async with await anyio.open_file(copy, "wb") as file:
                await bucket.download_to_stream(key, file, progress=progress)
            assert seen[-1] == (len(DATA), len(DATA))
            assert copy.read_bytes() == DATA

    driver.run(body())


def test_a_coroutine_is_no_progress_of_the_synchronous_api(mongodb_uri, mongodb_database_name):
    driver = SyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):

            async def progress(done, total):
                raise AssertionError

            with pytest.raises(TypeError, match="AsyncMongoClient"):
                bucket._target.upload_from_stream("a", b"x", progress=progress)
            assert await client[mongodb_database_name].fs.files.count_documents({}) == 0

    driver.run(body())


def test_the_event_loop_goes_on_while_a_local_file_is_read(
    mongodb_uri, mongodb_database_name, tmp_path
):
    driver = AsyncDriver()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
            upload = asyncio.create_task(bucket.upload_from_path(pipe))
            # Opening the pipe waits for a writer.
            assert (await client.admin.command("ping"))["ok"] == 1
            writer = await asyncio.to_thread(pipe.open, "wb")
            writer.write(TEXT)
            writer.flush()
            assert (await client.admin.command("ping"))["ok"] == 1
            writer.close()
            assert await contents(bucket, await upload) == TEXT

    driver.run(body())


@both_drivers
async def test_reading_into_a_buffer(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, recorder):
        key = await bucket.upload_from_stream("a", TEXT)
        file = await bucket.open_download_stream(key)
        sent(recorder)
        buffer = bytearray(7)
        assert await file.readinto(buffer) == 7
        assert buffer == TEXT[:7]
        assert await file.readinto(memoryview(buffer)[2:5]) == 3
        assert buffer == TEXT[:2] + TEXT[7:10] + TEXT[5:7]
        assert await file.readinto(bytearray()) == 0
        rest = bytearray(b"-" * 100)
        assert await file.readinto(rest) == len(TEXT) - 10
        assert rest == TEXT[10:] + b"-" * (100 - len(TEXT) + 10)
        assert await file.readinto(rest) == 0
        await file.seek(0)
        with pytest.raises(TypeError):
            await file.readinto(b"cannot be written to")
        assert sent(recorder) == ["find"]
        assert await file.read(3) == TEXT[:3]


def test_pythons_wrappers_take_a_file(mongodb_uri, mongodb_database_name):
    driver = SyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
            key = bucket._target.upload_from_stream("a", "Tee für zwei,\nund drei.".encode())
            lines = io.TextIOWrapper(
                io.BufferedReader(bucket._target.open_download_stream(key)), "utf-8"
            )
            assert list(lines) == ["Tee für zwei,\n", "und drei."]
            buffered = io.BufferedReader(bucket._target.open_download_stream(key), 5)
            assert buffered.peek(1)[:3] == b"Tee"
            buffered.seek(-6, io.SEEK_END)
            assert buffered.read() == b" drei."

    driver.run(body())


def test_motors_buckets_take_paths_and_ranges(mongodb_uri, mongodb_database_name, source, tmp_path):
    async def body():
        client = AsyncIOMotorClient(mongodb_uri)
        bucket = AsyncIOMotorGridFSBucket(client[mongodb_database_name])
        seen = []
        key = await bucket.upload_from_path(source, progress=lambda *step: seen.append(step))
        assert seen[-1] == (len(DATA), len(DATA))
        await bucket.download_to_path(key, tmp_path / "copy")
        await bucket.download_to_path_by_name("tea.bin", tmp_path / "other")
        assert (tmp_path / "copy").read_bytes() == (tmp_path / "other").read_bytes() == DATA
        part = await bucket.open_download_stream(key, start=5, end=260)
        buffer = bytearray(300)
        assert await part.readinto(buffer) == 255
        assert buffer[:255] == DATA[5:260]
        named = await bucket.open_download_stream_by_name("tea.bin", end=3)
        assert await named.read() == DATA[:3]
        assert await bucket.find_orphans() == await bucket.delete_orphans() == []
        client.close()

    asyncio.run(body())
