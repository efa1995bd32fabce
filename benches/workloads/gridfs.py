"""GridFS: a file of 50 MB up and down, whole and as a stream, and many files of 5 MB at a time.

The names and sizes are those of MongoDB's driver benchmarking specification. Many files are moved
by four threads, or by four tasks.
"""

import asyncio
import functools
import hashlib
import importlib
import io
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import gridfs

from benches.workloads.contract import Workload

BUCKET_CLASSES = {
    "pymongo": ("gridfs", "gridfs"),
    "ferromongo": ("ferromongo.gridfs", "ferromongo.gridfs"),
    "motor": (None, "motor.motor_asyncio"),
    "ferromongo.motor": (None, "ferromongo.motor_asyncio"),
}
"""Where the synchronous and the asynchronous peer of a name has them."""
LARGE = 50 << 20
OF_MANY = 5 << 20
AT_ONCE = 4


@functools.cache
def contents(size):
    return random.Random(0).randbytes(size)


def bucket(peer, name, asynchronous=False):
    module = BUCKET_CLASSES.get(peer.name, (None, None))[asynchronous]
    if module is None:
        raise NotImplementedError("it has no GridFS")
    prefix = "AsyncIOMotor" if "motor" in module.split(".")[-1] else "Async" * asynchronous
    return getattr(importlib.import_module(module), f"{prefix}GridFSBucket")(peer.database, name)


def digest(data):
    return {"length": len(data), "sha256": hashlib.sha256(data).hexdigest()}


@functools.cache
def expected_digest(size):
    return digest(contents(size))


def stored_files(name, count, size):
    """For `prepare`: `count` files with the numbers from 0 on."""

    def prepare(database):
        files = gridfs.GridFSBucket(database, name)
        if database[name]["files"].count_documents({"length": size}) != count:
            database.drop_collection(f"{name}.files")
            database.drop_collection(f"{name}.chunks")
            for number in range(count):
                files.upload_from_stream_with_id(number, "file", contents(size))

    return prepare


def read_sync(peer, items):
    files = bucket(peer, "large")
    for number in items:
        data = files.open_download_stream(number).read()
    return data


async def read_asynchronous(peer, items):
    files = bucket(peer, "large", asynchronous=True)
    for number in items:
        data = await (await files.open_download_stream(number)).read()
    return data


READ = Workload(
    name="gridfs_download",
    title="GridFS: read() of 50 MB",
    operations=1,
    items=range,
    expected=lambda items: expected_digest(LARGE),
    sync=read_sync,
    asynchronous=read_asynchronous,
    prepare=stored_files("large", 1, LARGE),
    outcome=lambda database, data: digest(data),
    peak_memory=True,
)


def stream_sync(peer, items):
    files = bucket(peer, "large")
    for number in items:
        files.download_to_stream(number, copy := io.BytesIO())
    return copy


async def stream_asynchronous(peer, items):
    files = bucket(peer, "large", asynchronous=True)
    for number in items:
        await files.download_to_stream(number, copy := io.BytesIO())
    return copy


STREAM = replace(
    READ,
    name="gridfs_download_stream",
    title="GridFS: 50 MB to a stream",
    sync=stream_sync,
    asynchronous=stream_asynchronous,
    outcome=lambda database, copy: digest(copy.getbuffer()),
)


def upload_sync(peer, items):
    files = bucket(peer, "uploaded")
    for data in items:
        files.upload_from_stream("file", data)


async def upload_asynchronous(peer, items):
    files = bucket(peer, "uploaded", asynchronous=True)
    for data in items:
        await files.upload_from_stream("file", data)


def nothing_uploaded(database):
    for name in ("files", "chunks"):
        database.drop_collection(f"uploaded.{name}")


def uploaded(database, answer):
    """What one of the files holds, and how many there are."""
    files = gridfs.GridFSBucket(database, "uploaded")
    found = list(files.find({}))
    return {"count": len(found), **digest(found[-1].read())}


UPLOAD = Workload(
    name="gridfs_upload",
    title="GridFS: 50 MB up",
    operations=1,
    items=lambda operations: [contents(LARGE)] * operations,
    expected=lambda items: {"count": len(items), **expected_digest(LARGE)},
    sync=upload_sync,
    asynchronous=upload_asynchronous,
    reset=nothing_uploaded,
    outcome=uploaded,
    peak_memory=True,
)


def read_many_sync(peer, items):
    files = bucket(peer, "many")

    def read(number):
        return files.open_download_stream(number).read()

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(read, items))[-1]


async def read_many_asynchronous(peer, items):
    files = bucket(peer, "many", asynchronous=True)
    left = iter(items)

    async def read():
        data = b""
        for number in left:
            data = await (await files.open_download_stream(number)).read()
        return data

    return (await asyncio.gather(*[read() for _ in range(AT_ONCE)]))[-1]


MANY_FILES = 20
READ_MANY = Workload(
    name="gridfs_multi_download",
    title=f"GridFS: {MANY_FILES} files of 5 MB down, 4 at a time",
    operations=MANY_FILES,
    items=range,
    expected=lambda items: expected_digest(OF_MANY),
    sync=read_many_sync,
    asynchronous=read_many_asynchronous,
    prepare=stored_files("many", MANY_FILES, OF_MANY),
    outcome=lambda database, data: digest(data),
)


def upload_many_sync(peer, items):
    files = bucket(peer, "uploaded")

    def upload(data):
        files.upload_from_stream("file", data)

    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(upload, items))


async def upload_many_asynchronous(peer, items):
    files = bucket(peer, "uploaded", asynchronous=True)
    left = iter(items)

    async def upload():
        for data in left:
            await files.upload_from_stream("file", data)

    await asyncio.gather(*[upload() for _ in range(AT_ONCE)])


def indexed(database):
    """Threads that find no indexes all make them; the specification has them made before."""
    nothing_uploaded(database)
    gridfs.GridFS(database, "uploaded").delete(gridfs.GridFS(database, "uploaded").put(b"x"))


UPLOAD_MANY = replace(
    UPLOAD,
    name="gridfs_multi_upload",
    title=f"GridFS: {MANY_FILES} files of 5 MB up, 4 at a time",
    operations=MANY_FILES,
    items=lambda operations: [contents(OF_MANY)] * operations,
    expected=lambda items: {"count": len(items), **expected_digest(OF_MANY)},
    sync=upload_many_sync,
    asynchronous=upload_many_asynchronous,
    reset=indexed,
    peak_memory=False,
)
