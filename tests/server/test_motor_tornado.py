"""Motor's API on Tornado's event loop, and files served with Tornado."""

import asyncio
import importlib

import pytest
from bson import ObjectId
from tests.drivers import ferromongo_only
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.ioloop import IOLoop
from tornado.testing import bind_unused_port
from tornado.web import Application

from ferromongo.motor_tornado import MotorClient

pytestmark = ferromongo_only


def test_operations_run_on_the_ioloop(mongodb_uri, mongodb_database_name):
    async def main():
        client = MotorClient(mongodb_uri)
        collection = client[mongodb_database_name].c
        future = collection.insert_one({"_id": 1})
        assert asyncio.isfuture(future)
        await future
        assert client.get_io_loop() is IOLoop.current()
        assert await collection.find().to_list(None) == [{"_id": 1}]
        assert await collection.options() == {}
        async with await client.start_session() as session, session.start_transaction():
            await collection.insert_one({"_id": 2}, session=session)
        assert [d["_id"] async for d in collection.aggregate([])] == [1, 2]
        done = asyncio.Event()
        seen = []

        def callback(document, error):
            seen.append(document)
            if document is None:
                done.set()

        collection.find().each(callback)
        await done.wait()
        assert seen == [{"_id": 1}, {"_id": 2}, None]
        assert type(client).__name__ == "MotorClient"
        assert type(collection.find()).__name__ == "MotorCursor"
        client.close()

    loop = IOLoop(make_current=False)
    loop.run_sync(main)
    loop.close(all_fds=True)


def test_a_loop_is_given(mongodb_uri):
    loop = IOLoop(make_current=False)
    client = MotorClient(mongodb_uri, io_loop=loop)
    assert client.io_loop is loop
    assert loop.run_sync(lambda: client.x.y.find_one()) is None
    client.close()
    loop.close(all_fds=True)
    with pytest.raises(TypeError, match="IOLoop"):
        MotorClient(io_loop=asyncio.new_event_loop)


@pytest.mark.filterwarnings("ignore:GridOut property 'contentType':DeprecationWarning")
async def test_files_are_served_as_by_motor(mongodb_uri):
    seen = []
    for name in ("motor", "ferromongo.motor"):
        module = importlib.import_module(name)
        handler = importlib.import_module(f"{name}.web").GridFSHandler
        client = module.MotorClient(mongodb_uri)
        database = client[f"files_{ObjectId()}"]
        bucket = module.MotorGridFSBucket(database)
        await bucket.upload_from_stream("a.txt", b"abc" * 1000, chunk_size_bytes=100)
        server = HTTPServer(Application([(r"/fs/(.*)", handler, {"database": database})]))
        socket, port = bind_unused_port()
        server.add_socket(socket)
        http = AsyncHTTPClient()

        async def ask(path, method="GET", http=http, port=port, **headers):
            headers = {name.replace("_", "-"): value for name, value in headers.items()}
            answer = await http.fetch(
                f"http://localhost:{port}{path}", raise_error=False, method=method, headers=headers
            )
            names = ("Content-Type", "Content-Length", "Cache-Control")
            return answer, (
                answer.code,
                answer.body if answer.code == 200 else b"",
                [answer.headers.get(name) for name in names if answer.code == 200],
            )

        first, answer = await ask("/fs/a.txt")
        answers = [answer, (await ask("/fs/a.txt", "HEAD"))[1], (await ask("/fs/none"))[1]]
        answers.append((await ask("/fs/a.txt", If_None_Match=first.headers["Etag"]))[1])
        answers.append((await ask("/fs/a.txt", If_None_Match='"other"'))[1])
        since = "Sat, 01 Jan 2000 00:00:00 GMT"
        answers.append((await ask("/fs/a.txt", If_Modified_Since=since))[1])
        seen.append(answers)
        server.stop()
        http.close()
        await client.drop_database(database)
        client.close()
    assert seen[0] == seen[1]
