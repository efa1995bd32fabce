"""Copies of whole files: what a destination gets and may do, what is asked for ahead."""

import pytest
from gridfs.errors import CorruptGridFile
from tests.drivers import both_drivers, ferromongo_only
from tests.server.test_gridfs import LARGE, opened

pytestmark = ferromongo_only
CHUNK = 255 * 1024


class Destination:
    """Takes each part after `before`, which it awaits on the asynchronous API."""

    def __init__(self, driver, before=None):
        self.parts = []
        self._before = before
        if driver.name == "async":
            self.write = self._write_later

    def write(self, part):
        if self._before is not None:
            self._before()
        self.parts.append(part)

    async def _write_later(self, part):
        if self._before is not None:
            await self._before()
        self.parts.append(part)


async def stored(driver, client, name):
    """A bucket with chunks of the usual size, and the `_id` of a file of three batches."""
    bucket = driver.gridfs("GridFSBucket", client[name])
    return bucket, await bucket.upload_from_stream("a", LARGE)


@both_drivers
@pytest.mark.parametrize("most", [1, 2, 100])
async def test_a_destination_may_use_the_client(driver, mongodb_uri, mongodb_database_name, most):
    options = {"maxPoolSize": most}
    async with opened(driver, mongodb_uri, mongodb_database_name, **options) as (_, client, _):
        bucket, key = await stored(driver, client, mongodb_database_name)
        notes = client[mongodb_database_name].notes
        copy = Destination(driver, lambda: notes.insert_one({}))
        await bucket.download_to_stream(key, copy)
        assert b"".join(copy.parts) == LARGE
        assert await notes.count_documents({}) == len(copy.parts)


@both_drivers
async def test_a_destination_gets_one_chunk_at_a_time(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (_, client, _):
        bucket, key = await stored(driver, client, mongodb_database_name)
        copy = Destination(driver)
        await bucket.download_to_stream(key, copy)
        assert {type(part) for part in copy.parts} == {bytes}
        assert copy.parts == [LARGE[at : at + CHUNK] for at in range(0, len(LARGE), CHUNK)]


@both_drivers
async def test_chunks_before_a_damage_are_written(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (_, client, _):
        bucket, key = await stored(driver, client, mongodb_database_name)
        chunks = client[mongodb_database_name].fs.chunks
        for number in (36, 20, 16, 15, 0):
            await chunks.delete_one({"files_id": key, "n": number})
            copy = Destination(driver)
            with pytest.raises(CorruptGridFile):
                await bucket.download_to_stream(key, copy)
            assert b"".join(copy.parts) == LARGE[: number * CHUNK]


@both_drivers
async def test_a_copy_can_be_repeated_after_its_destination_failed(
    driver, mongodb_uri, mongodb_database_name
):
    options = {"maxPoolSize": 2}
    async with opened(driver, mongodb_uri, mongodb_database_name, **options) as (_, client, _):
        bucket, key = await stored(driver, client, mongodb_database_name)

        def fail_at_second():
            if copy.parts:
                raise OSError("the disk is full")
            return client.admin.command("ping")

        for _ in range(5):
            copy = Destination(driver, fail_at_second)
            with pytest.raises(OSError, match="disk is full"):
                await bucket.download_to_stream(key, copy)
        copy = Destination(driver)
        await bucket.download_to_stream(key, copy)
        assert b"".join(copy.parts) == LARGE


@both_drivers
@pytest.mark.parametrize(
    ("options", "expected"), [({}, {1, 2}), ({"socketTimeoutMS": 60_000}, {0, 1, 2})]
)
async def test_a_batch_is_asked_for_before_the_one_before_it_is_written(
    driver, mongodb_uri, mongodb_database_name, options, expected
):
    async with opened(driver, mongodb_uri, mongodb_database_name, **options) as opened_now:
        _, client, recorder = opened_now
        bucket, key = await stored(driver, client, mongodb_database_name)
        recorder.events.clear()
        seen = set()

        def look():
            seen.add(len(recorder.sent("getMore")))
            return client.admin.command("ping")

        copy = Destination(driver, look)
        await bucket.download_to_stream(key, copy)
        assert b"".join(copy.parts) == LARGE
        assert seen == expected
        # None is asked for in vain.
        assert len(recorder.sent("getMore")) == 2
        assert not recorder.sent("killCursors")


@both_drivers
async def test_a_path_gets_a_whole_file_or_none(
    driver, mongodb_uri, mongodb_database_name, tmp_path
):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (small, client, _):
        bucket, key = await stored(driver, client, mongodb_database_name)
        path = tmp_path / "copy"
        chunks = client[mongodb_database_name].fs.chunks
        for contents in (b"", b"123", b"1234", b"123456789"):
            await small.download_to_path(await small.upload_from_stream("b", contents), path)
            assert path.read_bytes() == contents
        await bucket.download_to_path(key, path)
        assert path.read_bytes() == LARGE
        path.unlink()

        def of(number):
            return {"files_id": key, "n": number}

        for damage, repair in (
            (
                lambda: chunks.insert_one({**of(37), "data": b"x"}),
                lambda: chunks.delete_one(of(37)),
            ),
            (
                lambda: chunks.update_one(of(30), {"$set": {"n": 99}}),
                lambda: chunks.update_one(of(99), {"$set": {"n": 30}}),
            ),
            (
                lambda: chunks.delete_one(of(17)),
                lambda: chunks.insert_one({**of(17), "data": LARGE[17 * CHUNK : 18 * CHUNK]}),
            ),
        ):
            await damage()
            with pytest.raises(CorruptGridFile):
                await bucket.download_to_path(key, path)
            assert not list(tmp_path.iterdir())
            await repair()
        await bucket.download_to_path(key, path)
        assert path.read_bytes() == LARGE
