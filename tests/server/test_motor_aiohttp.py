"""Files served with aiohttp, through Motor's handler and ferromongo's: ETag, 304, ranges."""

import asyncio
import datetime
import importlib

import aiohttp
import pytest
from aiohttp import web
from bson import ObjectId
from tests.drivers import ferromongo_only

from ferromongo.motor.ranges import byte_range

pytestmark = ferromongo_only
DATA = bytes(range(256)) * 1000


class Site:
    """A server on a free port, and a client for it."""

    def __init__(self, name, uri, **handler_options):
        self._handlers = importlib.import_module(f"{name}.aiohttp")
        asyncio_classes = importlib.import_module(f"{name}.motor_asyncio")
        self._client = asyncio_classes.AsyncIOMotorClient(uri)
        self._bucket_class = asyncio_classes.AsyncIOMotorGridFSBucket
        self.database = self._client[f"files_{ObjectId()}"]
        self._options = handler_options

    async def __aenter__(self):
        bucket = self._bucket_class(self.database)
        await bucket.upload_from_stream("a.txt", DATA, chunk_size_bytes=1000)
        await bucket.upload_from_stream("empty", b"")
        async with bucket.open_upload_stream("typed") as file:
            await file.write(b"x")
            await file.set("contentType", "image/png")
        handler = self._handlers.AIOHTTPGridFS(self.database, **self._options)
        app = web.Application()
        app.router.add_route("*", "/fs/{filename}", handler)
        app.router.add_route("*", "/bad/{other}", handler)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "localhost", 0)
        await site.start()
        port = site._server.sockets[0].getsockname()[1]
        self._session = aiohttp.ClientSession(f"http://localhost:{port}")
        return self

    async def __aexit__(self, *error):
        await self._session.close()
        await self._runner.cleanup()
        await self._client.drop_database(self.database)
        self._client.close()

    async def ask(self, path, method="GET", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self._session.request(method, path, headers=headers) as response:
            body = await response.read()
            kept = {
                name: response.headers.get(name)
                for name in ("Content-Type", "Content-Length", "Cache-Control", "X-Extra")
            }
            return response, (response.status, body, kept)


# aiohttp warns of Motor's handler, and PyMongo of content types.
motor_too = pytest.mark.filterwarnings(
    "ignore:Bare functions are deprecated:DeprecationWarning",
    "ignore:GridOut property 'contentType':DeprecationWarning",
)


@motor_too
@pytest.mark.parametrize("path", ["/fs/a.txt", "/fs/empty", "/fs/typed", "/fs/none", "/bad/x"])
async def test_answers_are_those_of_motor(path, mongodb_uri):
    seen = []
    for name in ("motor", "ferromongo.motor"):
        async with Site(name, mongodb_uri) as site:
            answers = [(await site.ask(path, method))[1] for method in ("GET", "HEAD", "POST")]
            response, _ = await site.ask(path)
            if response.status == 200:
                etag, modified = response.headers["Etag"], response.headers["Last-Modified"]
                answers += [
                    (await site.ask(path, If_None_Match=etag))[1],
                    (await site.ask(path, If_None_Match='"other"'))[1],
                    (await site.ask(path, If_Modified_Since=modified))[1],
                    (await site.ask(path, If_Modified_Since="Sat, 01 Jan 2000 00:00:00 GMT"))[1],
                ]
            if path.startswith("/bad"):
                answers = [status for status, _, _ in answers]
            seen.append(answers)
    assert seen[0] == seen[1]


@motor_too
async def test_options_of_the_handler(mongodb_uri):
    seen = []
    for name in ("motor", "ferromongo.motor"):
        asked = []

        def by_other_name(bucket, filename, request, asked=asked):
            asked.append((type(bucket).__name__, filename, request.method))
            return bucket.open_download_stream_by_name("a.txt")

        def cache_time(filename, modified, mime_type, asked=asked):
            asked.append((filename, isinstance(modified, datetime.datetime), mime_type))
            return 60

        def extra_headers(response, gridout):
            response.headers["X-Extra"] = gridout.filename

        options = {
            "get_gridfs_file": by_other_name,
            "get_cache_time": cache_time,
            "set_extra_headers": extra_headers,
        }
        async with Site(name, mongodb_uri, **options) as site:
            response, answer = await site.ask("/fs/anything")
            assert "Expires" in response.headers
            seen.append((asked, answer))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("given", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=1500-2600", 1500, 2601),
        ("bytes=255990-", 255990, 256000),
        ("bytes=-7", 255993, 256000),
        ("bytes=255999-999999", 255999, 256000),
        ("bytes=-999999", 0, 256000),
    ],
)
async def test_a_range_is_sent(given, first, end, mongodb_uri):
    async with Site("ferromongo.motor", mongodb_uri) as site:
        response, (status, body, _) = await site.ask("/fs/a.txt", Range=given)
        assert status == 206
        assert body == DATA[first:end]
        assert response.headers["Content-Range"] == f"bytes {first}-{end - 1}/{len(DATA)}"
        _, (status, body, kept) = await site.ask("/fs/a.txt", "HEAD", Range=given)
        assert (status, body, kept["Content-Length"]) == (206, b"", str(end - first))


async def test_other_ranges(mongodb_uri):
    async with Site("ferromongo.motor", mongodb_uri) as site:
        response, (status, _, _) = await site.ask("/fs/a.txt", Range="bytes=256000-")
        assert (status, response.headers["Content-Range"]) == (416, "bytes */256000")
        for whole in ("bytes=5-2", "bytes=0-1,4-5", "lines=1-2", "nonsense"):
            _, (status, body, _) = await site.ask("/fs/a.txt", Range=whole)
            assert (status, body) == (200, DATA)
        response, _ = await site.ask("/fs/a.txt")
        assert response.headers["Accept-Ranges"] == "bytes"
        etag = response.headers["Etag"]
        _, (status, body, _) = await site.ask("/fs/a.txt", Range="bytes=0-1", If_Range=etag)
        assert (status, body) == (206, DATA[:2])
        _, (status, body, _) = await site.ask("/fs/a.txt", Range="bytes=0-1", If_Range='"old"')
        assert (status, body) == (200, DATA)
        _, (status, _, _) = await site.ask("/fs/a.txt", Range="bytes=0-1", If_None_Match=etag)
        assert status == 304


def test_ranges_are_read():
    assert byte_range(" bytes = 1 - 2 ", 10) == (1, 3)
    assert byte_range("bytes=-", 10) is None
    for beyond in ("bytes=10-", "bytes=-0"):
        with pytest.raises(ValueError, match="beyond"):
            byte_range(beyond, 10)


def test_the_handler_takes_a_database_only():
    handlers = importlib.import_module("ferromongo.motor.aiohttp")
    with pytest.raises(TypeError, match="must be AsyncIOMotorDatabase"):
        handlers.AIOHTTPGridFS(5)


async def test_files_are_served_beside_one_another(mongodb_uri):
    async with Site("ferromongo.motor", mongodb_uri) as site:
        answers = await asyncio.gather(*(site.ask("/fs/a.txt") for _ in range(20)))
        assert all(body == DATA for _, (_, body, _) in answers)
