"""Ranges of files, and what is fetched for them; files as bodies of HTTP responses."""

import io

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route
from tests.drivers import AsyncDriver, SyncDriver, both_drivers, ferromongo_only
from tests.server.test_gridfs import TEXT, opened

from ferromongo.gridfs import http

pytestmark = ferromongo_only
CHUNK = 4


def fetched(recorder):
    """The numbers of the chunks that the server has sent."""
    numbers = [
        chunk["n"]
        for name in ("find", "getMore")
        for event in recorder.commands(name)
        if hasattr(event, "reply")
        for batch in ("firstBatch", "nextBatch")
        for chunk in event.reply["cursor"].get(batch, ())
        if "n" in chunk
    ]
    recorder.events.clear()
    return numbers


@pytest.mark.parametrize(
    ("start", "end"),
    [(0, 0), (0, 1), (0, 4), (3, 5), (4, 8), (5, None), (9, 9), (40, 900), (900, None), (0, None)],
)
@both_drivers
async def test_a_range_is_read(driver, mongodb_uri, mongodb_database_name, start, end):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, recorder):
        key = await bucket.upload_from_stream("a", TEXT)
        expected = TEXT[start:end]
        recorder.events.clear()
        file = await bucket.open_download_stream(key, start=start, end=end)
        assert file.length == len(TEXT)
        assert await file.read() == expected
        assert await file.read(1) == b""
        last = min(len(TEXT) if end is None else end, len(TEXT))
        numbers = list(range(start // CHUNK, -(-last // CHUNK))) if start < last else []
        assert fetched(recorder) == numbers

        again = await bucket.open_download_stream_by_name("a", start=start, end=end)
        chunks = []
        while chunk := await again.readchunk():
            assert len(chunk) <= CHUNK
            chunks.append(chunk)
        assert b"".join(chunks) == expected
        assert fetched(recorder) == numbers

        third = await bucket.open_download_stream(key, start=start, end=end)
        assert await third.readlines() == expected.splitlines(keepends=True)
        # Positions are those of the file; its end is the end of the range.
        if last:
            assert await third.seek(-1, io.SEEK_END) == last - 1
            assert await third.readline() == TEXT[last - 1 : last]


@both_drivers
async def test_what_is_no_range(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
        key = await bucket.upload_from_stream("a", TEXT)
        for start, end, error in (
            (-1, None, ValueError),
            (5, 4, ValueError),
            (0, -1, ValueError),
            (1.5, None, TypeError),
            (0, "5", TypeError),
            (None, 5, TypeError),
            (True, None, TypeError),
        ):
            with pytest.raises(error, match=r"start|end"):
                await bucket.open_download_stream(key, start=start, end=end)
            with pytest.raises(error, match=r"start|end"):
                await bucket.open_download_stream_by_name("a", start=start, end=end)


@both_drivers
async def test_a_seek_skips_the_chunks_in_between(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, recorder):
        key = await bucket.upload_from_stream("a", TEXT)
        file = await bucket.open_download_stream(key, end=36)
        recorder.events.clear()
        assert await file.seek(25) == 25
        assert await file.read(2) == TEXT[25:27]
        assert await file.seek(33) == 33
        assert await file.read() == TEXT[33:36]
        # Nothing before chunk 6, nothing from the end of the range on.
        assert set(fetched(recorder)) == {6, 7, 8}


@both_drivers
async def test_chunks_of_a_range(driver, mongodb_uri, mongodb_database_name):
    async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, recorder):
        key = await bucket.upload_from_stream("a", TEXT)
        file = await bucket.open_download_stream(key)
        recorder.events.clear()
        assert await listed(driver, file, 6, 15) == [TEXT[6:8], TEXT[8:12], TEXT[12:15]]
        assert fetched(recorder) == [1, 2, 3]
        assert file.closed
        for start, end in ((0, 0), (5, 5), (900, None)):
            file = await bucket.open_download_stream(key)
            recorder.events.clear()
            assert await listed(driver, file, start, end) == []
            assert fetched(recorder) == []
        whole = await bucket.open_download_stream(key)
        await whole.read(10)
        assert b"".join(await listed(driver, whole)) == TEXT
        with pytest.raises(ValueError, match="end"):
            await listed(driver, whole, 5, 4)


async def listed(driver, file, *given):
    if driver.name == "sync":
        return list(file._target.iter_chunks(*given))
    return [chunk async for chunk in file.iter_chunks(*given)]


@pytest.mark.parametrize("api", ["sync", "async"])
def test_an_asgi_response_streams_a_file(api, mongodb_uri, mongodb_database_name):
    data = bytes(range(256)) * 3000
    blocking, driver = SyncDriver(), AsyncDriver()

    async def body():
        async with opened(driver, mongodb_uri, mongodb_database_name) as (bucket, _, _):
            key = await bucket.upload_from_stream("a.bin", data, chunk_size_bytes=1000)
            sync_client = blocking.client(mongodb_uri)._target
            sync_bucket = blocking.gridfs("GridFSBucket", sync_client[mongodb_database_name])

            async def respond(request):
                if api == "sync":
                    file = sync_bucket._target.open_download_stream(key)
                else:
                    file = await bucket.open_download_stream(key)
                head = http.response_head(file, request.headers, request.method)
                chunks = file.iter_chunks(head.start, head.end)
                return StreamingResponse(chunks, head.status, head.headers)

            app = Starlette(routes=[Route("/", respond, methods=["GET"])])
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://site") as site:
                whole = await site.get("/")
                assert (whole.status_code, whole.content) == (200, data)
                part = await site.get("/", headers={"Range": "bytes=-1500"})
                assert (part.status_code, part.content) == (206, data[-1500:])
                assert (
                    part.headers["Content-Range"]
                    == f"bytes {len(data) - 1500}-{len(data) - 1}/{len(data)}"
                )
                tag = whole.headers["ETag"]
                same = await site.get("/", headers={"If-None-Match": tag})
                assert (same.status_code, same.content) == (304, b"")
                beyond = await site.get("/", headers={"Range": "bytes=768000-"})
                assert (beyond.status_code, beyond.content) == (416, b"")
                only_head = await site.head("/")
                assert only_head.headers["Content-Length"] == str(len(data))
                assert only_head.content == b""
            sync_client.close()

    driver.run(body())
