"""Uploads that are cancelled, interrupted, refused or lose their primary leave no chunk behind."""

import asyncio
import contextlib
import datetime
import json
import signal
import time

import pytest
from gridfs.errors import CorruptGridFile
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from tests.drivers import APP, AsyncDriver, both_drivers, eventually, ferromongo_only, package
from tests.fault.programs import start

pytestmark = ferromongo_only
DATA = bytes(range(48))
# Six inserts of two chunks each, then that of the file's document.
CHUNK_SIZE, CHUNKS_AT_ONCE, INSERTS = 4, 2, 7


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    for api in ("synchronous", "asynchronous"):
        monkeypatch.setattr(f"gridfs.{api}.grid_file._UPLOAD_BUFFER_CHUNKS", CHUNKS_AT_ONCE)


def inserts_begun(database):
    status = database.client.admin.command("serverStatus")
    return status["metrics"]["commands"]["insert"]["total"]


def left(database):
    files, chunks = database.fs.files, database.fs.chunks
    return files.count_documents({}), chunks.count_documents({})


@pytest.mark.parametrize("reply", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("insert", range(INSERTS))
def test_a_cancelled_upload_leaves_no_chunk(proxy, client, mongodb_database_name, insert, reply):
    driver, database = AsyncDriver(), client[mongodb_database_name]

    async def body():
        async with package.AsyncMongoClient(proxy.uri()) as uploading:
            bucket = driver.gridfs("GridFSBucket", uploading[mongodb_database_name])
            await bucket.upload_from_stream("makes the indexes", b"")
            hold = proxy.hold("insert", insert, reply)
            task = asyncio.create_task(bucket.upload_from_stream("a", DATA, CHUNK_SIZE))
            await eventually(driver, hold.arrived.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError) as raised:
                await task
            assert not getattr(raised.value, "__notes__", None)
            assert left(database) == (1, 0)
            before = inserts_begun(database)
            hold.release()
            if not reply:
                # It arrives when all is deleted, and is refused, or known to be carried out.
                await eventually(driver, lambda: inserts_begun(database) > before)
            assert left(database) == (1, 0)
            # The client is as good as new.
            key = await bucket.upload_from_stream("b", DATA, CHUNK_SIZE)
            assert await (await bucket.open_download_stream(key)).read() == DATA

    driver.run(body())


def test_the_clean_up_goes_on_when_it_is_cancelled(proxy, client, mongodb_database_name):
    """A cancel scope of anyio cancels its tasks again and again."""
    driver, database = AsyncDriver(), client[mongodb_database_name]

    async def body():
        async with package.AsyncMongoClient(proxy.uri()) as uploading:
            bucket = driver.gridfs("GridFSBucket", uploading[mongodb_database_name])
            await bucket.upload_from_stream("makes the indexes", b"")
            insert, delete = proxy.hold("insert", 3), proxy.hold("delete")
            task = asyncio.create_task(bucket.upload_from_stream("a", DATA, CHUNK_SIZE))
            await eventually(driver, insert.arrived.is_set)
            task.cancel()
            await eventually(driver, delete.arrived.is_set)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert left(database)[1]
            delete.release()
            await eventually(driver, lambda: left(database) == (1, 0))
            insert.release()

    driver.run(body())


@pytest.mark.parametrize("insert", [0, 3, INSERTS - 1])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_an_upload_interrupted_by_ctrl_c_leaves_no_chunk(
    kind, insert, mongodb_replica_set, mongodb_database_name
):
    address = mongodb_replica_set.primary.address
    arguments = (kind, str(insert), address, mongodb_database_name)
    with start("interrupted_upload", *arguments) as program:
        try:
            assert program.stdout.readline() == "ready\n"
            program.send_signal(signal.SIGINT)
            output, _ = program.communicate(timeout=120)
        finally:
            program.kill()
    assert program.returncode == 0
    assert json.loads(output.splitlines()[-1]) == {"left": [1, 0], "afterwards": [2, 12]}


@both_drivers
async def test_an_upload_that_is_refused_leaves_no_chunk(
    driver, mongodb_uri, mongodb_database_name, client, fail
):
    database = client[mongodb_database_name]
    async with driver.client(mongodb_uri, appName=APP) as uploading:
        bucket = driver.gridfs("GridFSBucket", uploading[mongodb_database_name])
        fs = driver.gridfs("GridFS", uploading[mongodb_database_name])
        await bucket.upload_from_stream("makes the indexes", b"")

        def failing(done, total):
            if done == 24:
                failpoint.enter_context(fail("insert", times=1, errorCode=2))

        for upload in (
            lambda: bucket.upload_from_stream("a", DATA, CHUNK_SIZE, progress=failing),
            lambda: bucket.upload_from_stream_with_id(5, "a", DATA, CHUNK_SIZE, progress=failing),
        ):
            with contextlib.ExitStack() as failpoint, pytest.raises(OperationFailure):
                await upload()
            assert left(database) == (1, 0)

        async def closed(file):
            async with file:
                await file.write(DATA)
                with fail("insert", times=1, errorCode=2):
                    await file.close()

        for file in (
            bucket.open_upload_stream("a", chunk_size_bytes=CHUNK_SIZE),
            fs.new_file(filename="a", chunk_size=CHUNK_SIZE),
        ):
            with pytest.raises(OperationFailure):
                await closed(file)
            assert left(database) == (1, 0)
        with pytest.raises(ZeroDivisionError):
            await left_midway(fs.new_file(filename="a", chunk_size=CHUNK_SIZE), database)
        assert left(database) == (1, 0)


async def left_midway(file, database):
    async with file:
        await file.write(DATA)
        assert left(database)[1] == 12
        raise ZeroDivisionError


@both_drivers
async def test_what_cannot_be_deleted_is_noted(
    driver, mongodb_uri, mongodb_database_name, client, fail
):
    database = client[mongodb_database_name]
    async with driver.client(mongodb_uri, appName=APP) as uploading:
        bucket = driver.gridfs("GridFSBucket", uploading[mongodb_database_name])
        with pytest.raises(ZeroDivisionError) as raised, fail("delete", times=1, errorCode=2):
            await left_midway(bucket.open_upload_stream("a", CHUNK_SIZE), database)
        assert "delete_orphans" in raised.value.__notes__[0]
        assert left(database) == (0, 12)
        [orphans] = await bucket.delete_orphans(datetime.timedelta(0))
        assert orphans.chunks == 12
        assert left(database) == (0, 0)


class Uploads:
    """Fifty at once; half of them wait midway until the primary is dead."""

    COUNT, SIZE = 50, 24

    def __init__(self, driver, bucket):
        self.midway, self.killed = [], False
        self.stored, self.failed = {}, []
        self._driver, self._bucket = driver, bucket
        self.jobs = [driver.start(self._upload, number) for number in range(self.COUNT)]

    @classmethod
    def content(cls, number):
        return bytes([number]) * cls.SIZE

    async def _upload(self, number):
        source = (_Source if self._driver.name == "sync" else _AsyncSource)(self, number)
        try:
            name = f"upload {number}"
            key = await self._bucket.upload_from_stream(name, source, CHUNK_SIZE)
            self.stored[number] = key
        except PyMongoError as error:
            self.failed.append(error)


class _Source:
    def __init__(self, uploads, number):
        self._uploads = uploads
        self._left = uploads.content(number)
        self._waits = number % 2 == 0

    def read(self, size):
        if self._is_midway():
            while not self._uploads.killed:
                time.sleep(0.01)
        return self._take(size)

    def _is_midway(self):
        if not self._waits or len(self._left) > self._uploads.SIZE // 2:
            return False
        self._waits = False
        self._uploads.midway.append(self)
        return True

    def _take(self, size):
        taken, self._left = self._left[:size], self._left[size:]
        return taken


class _AsyncSource(_Source):
    async def read(self, size):
        if self._is_midway():
            while not self._uploads.killed:
                await asyncio.sleep(0.01)
        return self._take(size)


@pytest.mark.timeout(400)
@both_drivers
async def test_a_primary_killed_during_uploads(driver, replica_set, mongodb_database_name):
    async with driver.client(replica_set.uri, w="majority") as client:
        database = client[mongodb_database_name]
        bucket = driver.gridfs("GridFSBucket", database)
        await bucket.upload_from_stream("makes the indexes", b"")
        # What a majority has is never rolled back, so what is seen of it can be read.
        durable = database.with_options(read_concern=ReadConcern("majority"))
        reading = driver.gridfs("GridFSBucket", durable)
        seen, withdrawn, stopped = set(), set(), []

        async def look(file):
            try:
                data = await file.read()
            except CorruptGridFile:
                # The upload did not hear that it was stored, and took it back meanwhile.
                withdrawn.add(file._id)
            else:
                assert data == Uploads.content(int(file.filename.split()[1]))
                seen.add(file._id)

        async def watch():
            while not stopped:
                with contextlib.suppress(PyMongoError):  # while there is no primary
                    async for file in reading.find({"filename": {"$regex": "^upload"}}):
                        if file._id not in seen:
                            await look(file)
                await driver.sleep(0.02)

        watcher = driver.start(watch)
        uploads = Uploads(driver, bucket)
        await eventually(driver, lambda: len(uploads.midway) == 25 and len(uploads.stored) >= 5, 60)
        old = await driver.blocking(lambda: replica_set.primary)
        await driver.blocking(replica_set.kill, old)
        uploads.killed = True
        for job in uploads.jobs:
            await job.result(timeout=120)
        await driver.blocking(replica_set.restart, old)
        await driver.blocking(replica_set.recover)
        stopped.append(True)
        await watcher.result()

        found = {file._id: file async for file in bucket.find({"length": {"$gt": 0}})}
        assert set(uploads.stored.values()) <= set(found)
        assert not withdrawn & set(found)
        for file in found.values():
            assert await file.read() == Uploads.content(int(file.filename.split()[1]))
        await bucket.delete_orphans(datetime.timedelta(0))
        assert await bucket.find_orphans(datetime.timedelta(0)) == []
        assert set(await database.fs.chunks.distinct("files_id")) == set(found)
        chunks = await database.fs.chunks.count_documents({})
        assert chunks == len(found) * Uploads.SIZE // CHUNK_SIZE
        assert len(uploads.stored) + len(uploads.failed) == Uploads.COUNT
