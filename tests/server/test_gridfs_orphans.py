"""Chunks without a file: which ones are found. Uploads under way are not taken for them."""

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId
from tests.drivers import both_drivers, ferromongo_only
from tests.server.test_gridfs import TEXT, opened

pytestmark = ferromongo_only
DAY = timedelta(days=1)


def chunk(files_id, n, age, data=b"1234"):
    made = datetime.now(UTC) - age
    key = ObjectId(ObjectId.from_datetime(made).binary[:4] + ObjectId().binary[4:])
    return {"_id": key, "files_id": files_id, "n": n, "data": data}


@both_drivers
async def test_chunks_without_a_file_are_found_and_deleted(
    driver, mongodb_uri, mongodb_database_name
):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        assert await bucket.find_orphans() == await bucket.delete_orphans() == []
        key = await bucket.upload_from_stream("a", TEXT)
        chunks = client[mongodb_database_name].fs.chunks
        old, odd = ObjectId(), {"a": [1, None]}
        await chunks.insert_many(
            [
                *(chunk(old, n, 3 * DAY) for n in range(3)),
                chunk(odd, 0, 2 * DAY, b"12"),
                chunk(None, 0, 2 * DAY),
                # A long upload under way: its first chunk is old, its newest is not.
                chunk("under way", 0, 2 * DAY),
                chunk("under way", 1, timedelta(hours=20)),
                chunk(key, 99, 2 * DAY),  # of a file that is there, if corrupt
            ]
        )
        await bucket.upload_from_stream_with_id("empty", "a", b"")
        found = {repr(one.files_id): one for one in await bucket.find_orphans()}
        assert {name: one[1:3] for name, one in found.items()} == {
            repr(old): (3, 12),
            repr(odd): (1, 2),
            repr(None): (1, 4),
        }
        ages = [datetime.now(UTC) - one.newest for one in found.values()]
        assert all(DAY < age < 3.1 * DAY for age in ages)

        def ids(orphans):
            return sorted(repr(one.files_id) for one in orphans)

        assert ids(await bucket.find_orphans(timedelta(days=2.5))) == [repr(old)]
        assert ids(await bucket.find_orphans(older_than=timedelta(days=9))) == []
        assert ids(await bucket.find_orphans(timedelta.max)) == []
        assert await chunks.count_documents({}) == 12 + 8
        assert ids(await bucket.delete_orphans(timedelta(days=2.5))) == [repr(old)]
        assert await chunks.count_documents({}) == 12 + 5
        assert len(await bucket.delete_orphans()) == 2
        assert ids(await bucket.find_orphans(timedelta(0))) == [repr("under way")]
        await bucket.delete_orphans(timedelta(0))
        assert await chunks.distinct("files_id") == [key]
        for wrong in (5, None, "1d"):
            with pytest.raises(TypeError, match="older_than"):
                await bucket.find_orphans(wrong)


@both_drivers
async def test_an_upload_under_way_is_no_orphan(
    driver, mongodb_uri, mongodb_database_name, monkeypatch
):
    api = {"sync": "synchronous", "async": "asynchronous"}[driver.name]
    monkeypatch.setattr(f"gridfs.{api}.grid_file._UPLOAD_BUFFER_CHUNKS", 1)
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        async with bucket.open_upload_stream("a") as file:
            await file.write(TEXT)
            assert await client[mongodb_database_name].fs.chunks.count_documents({}) > 9
            assert await bucket.delete_orphans() == []
        assert await (await bucket.open_download_stream_by_name("a")).read() == TEXT


@both_drivers
async def test_a_file_that_is_stored_meanwhile_is_no_orphan(
    driver, mongodb_uri, mongodb_database_name
):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, _):
        database = client[mongodb_database_name]
        await database.fs.chunks.insert_many([chunk(1, 0, 2 * DAY), chunk(2, 0, 2 * DAY)])
        find = bucket.find_orphans if driver.name == "async" else bucket._target.find_orphans

        async def and_store(older_than):
            found = find(older_than) if driver.name == "sync" else await find(older_than)
            await database.fs.files.insert_one({"_id": 1, "length": 4, "chunkSize": 4})
            return found

        target = bucket if driver.name == "async" else bucket._target
        target.find_orphans = (
            and_store
            if driver.name == "async"
            else lambda older_than: driver.run(and_store(older_than))
        )
        assert [one.files_id for one in await bucket.delete_orphans()] == [2]
        assert await database.fs.chunks.distinct("files_id") == [1]


@both_drivers
async def test_only_the_index_is_read_for_files_that_are_there(
    driver, mongodb_uri, mongodb_database_name
):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, client, recorder):
        for _ in range(3):
            await bucket.upload_from_stream("a", TEXT * 20)
        await bucket.find_orphans()
        [command] = recorder.sent("aggregate")
        explained = await client[mongodb_database_name].command(
            "aggregate", "fs.chunks", pipeline=command["pipeline"], explain=True
        )
        assert "DISTINCT_SCAN" in str(explained)
        assert "COLLSCAN" not in str(explained)
