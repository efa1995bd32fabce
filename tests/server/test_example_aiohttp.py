"""examples/aiohttp_files.py: uploads, downloads, ranges, ETags, and what is not there."""

import asyncio

import pytest
from aiohttp import ClientSession, web
from tests.server.examples import load, with_database

DATA = bytes(range(256)) * 4000  # four chunks


@pytest.fixture
async def site(mongodb_uri, mongodb_database_name, monkeypatch):
    example = load("aiohttp_files.py")
    monkeypatch.setattr(example, "URI", with_database(mongodb_uri, mongodb_database_name))
    runner = web.AppRunner(example.make_app())
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0]
        async with ClientSession(f"http://{host}:{port}") as session:
            yield Site(session)
    finally:
        await runner.cleanup()


class Site:
    def __init__(self, session):
        self._session = session

    async def __call__(self, method, path, data=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(method, path, data=data, headers=headers) as response:
            return response, await response.read()


async def test_a_file_is_uploaded_downloaded_listed_and_deleted(site):
    uploaded, _ = await site("PUT", "/files/a%20b.txt", DATA)
    assert (uploaded.status, uploaded.headers["Location"]) == (201, "/files/a%20b.txt")
    response, body = await site("GET", uploaded.headers["Location"])
    assert (response.status, body) == (200, DATA)
    assert response.content_type == "text/plain"
    assert response.headers["ETag"] == uploaded.headers["ETag"]
    response, body = await site("HEAD", "/files/a%20b.txt")
    assert (response.status, body, response.content_length) == (200, b"", len(DATA))
    response, _ = await site("GET", "/files/")
    assert [(file["name"], file["length"]) for file in await response.json()] == [
        ("a b.txt", len(DATA))
    ]
    assert (await site("DELETE", "/files/a%20b.txt"))[0].status == 204
    response, _ = await site("GET", "/files/")
    assert await response.json() == []


async def test_an_upload_arrives_in_pieces(site):
    async def pieces():
        for start in range(0, len(DATA), 100_000):
            yield DATA[start : start + 100_000]
            await asyncio.sleep(0)

    await site("PUT", "/files/pieces", pieces())
    response, body = await site("GET", "/files/pieces")
    assert (response.content_type, body) == ("application/octet-stream", DATA)


async def test_an_empty_file_is_sent(site):
    await site("PUT", "/files/empty", b"")
    response, body = await site("GET", "/files/empty")
    assert (response.status, body) == (200, b"")
    assert (await site("GET", "/files/empty", Range="bytes=0-"))[0].status == 416


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=261000-600000", 261000, 600001),
        ("bytes=1023999-", 1023999, 1024000),
        ("bytes=1023000-9999999", 1023000, 1024000),
        ("bytes=-7", 1023993, 1024000),
        ("bytes=-9999999", 0, 1024000),
    ],
)
async def test_a_range_is_sent(asked, first, end, site):
    await site("PUT", "/files/a", DATA)
    response, body = await site("GET", "/files/a", Range=asked)
    assert (response.status, body) == (206, DATA[first:end])
    assert response.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(DATA)}"


async def test_ranges_that_cannot_be_sent(site):
    await site("PUT", "/files/a", DATA)
    response, _ = await site("GET", "/files/a", Range="bytes=1024000-")
    assert (response.status, response.headers["Content-Range"]) == (416, "bytes */1024000")
    for asked in ("bytes=5-2", "bytes=0-1,4-5", "lines=1-2"):
        response, body = await site("GET", "/files/a", Range=asked)
        assert (response.status, body) == (200, DATA)


async def test_an_unchanged_file_is_not_sent_again(site):
    uploaded, _ = await site("PUT", "/files/a", DATA)
    old = uploaded.headers["ETag"]
    for known in (old, f'"other", {old}', "*"):
        response, body = await site("GET", "/files/a", If_None_Match=known)
        assert (response.status, body, response.headers["ETag"]) == (304, b"", old)
    replaced, _ = await site("PUT", "/files/a", b"new")
    response, body = await site("GET", "/files/a", If_None_Match=old)
    assert (response.status, body) == (200, b"new")
    # A part of the old file is of no use with one of the new.
    response, body = await site("GET", "/files/a", Range="bytes=1-", If_Range=old)
    assert (response.status, body) == (200, b"new")
    new = replaced.headers["ETag"]
    response, body = await site("GET", "/files/a", Range="bytes=1-", If_Range=new)
    assert (response.status, body) == (206, b"ew")


async def test_a_file_that_is_not_there_is_not_found(site):
    for method in ("GET", "HEAD", "DELETE"):
        assert (await site(method, "/files/none"))[0].status == 404
    assert (await site("GET", "/files/none"))[1] == b"There is no file 'none'"


async def test_files_are_served_beside_one_another(site):
    await asyncio.gather(*(site("PUT", f"/files/{n}", DATA[n:]) for n in range(10)))
    answers = await asyncio.gather(*(site("GET", f"/files/{n}") for n in range(10)))
    assert [body for _, body in answers] == [DATA[n:] for n in range(10)]
