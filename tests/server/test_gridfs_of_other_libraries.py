"""GridFS on databases that are not ferromongo's: it needs their public methods only (mongomock)."""

import io

import pymongo
import pytest
from tests.drivers import ferromongo_only, gridfs

pytestmark = ferromongo_only


@pytest.fixture
def other(mongodb_uri, mongodb_database_name):
    with pymongo.MongoClient(mongodb_uri) as client:
        yield client[mongodb_database_name]


def test_files_of_a_database_of_pymongo(other):
    files = gridfs.GridFS(other)
    data = b"one\ntwo\n" * 50_000
    key = files.put(data, filename="a", kind=1)
    assert files.get(key).read() == data
    assert files.get_last_version("a").readlines()[:2] == [b"one\n", b"two\n"]
    assert files.find_one({"kind": 1}).kind == 1
    assert [file.filename for file in files.find({}).sort("uploadDate", -1).limit(3)] == ["a"]
    assert [file._id for file in files.find().to_list()] == [key]
    assert files.exists(key)
    assert files.list() == ["a"]
    files.delete(key)
    assert files.list() == []


def test_buckets_of_a_database_of_pymongo(other):
    bucket = gridfs.GridFSBucket(other)
    key = bucket.upload_from_stream("b", io.BytesIO(b"x" * 600_000))
    copy = io.BytesIO()
    bucket.download_to_stream(key, copy)
    assert copy.getvalue() == b"x" * 600_000
    with bucket.open_upload_stream("c") as file:
        file.write(b"1")
    assert sorted(file.filename for file in bucket.find({})) == ["b", "c"]
    bucket.rename(key, "d")
    bucket.delete(key)
    bucket.delete_by_name("c")
    assert bucket.find({}).to_list() == []


async def test_files_of_an_asynchronous_database_of_pymongo(mongodb_uri, mongodb_database_name):
    async with pymongo.AsyncMongoClient(mongodb_uri) as client:
        bucket = gridfs.AsyncGridFSBucket(client[mongodb_database_name])
        key = await bucket.upload_from_stream("b", b"x" * 600_000)
        assert await (await bucket.open_download_stream(key)).read() == b"x" * 600_000
        assert [file.filename async for file in bucket.find({})] == ["b"]
        assert [file._id for file in await bucket.find({}).to_list()] == [key]


@pytest.mark.parametrize("wrong", ["x", None, pymongo.MongoClient(connect=False)["a"].b])
def test_what_is_no_database_is_refused(wrong):
    with pytest.raises(TypeError):
        gridfs.GridFS(wrong)
