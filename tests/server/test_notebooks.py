"""In a notebook: a real ipykernel runs cells, is interrupted, completes and shows objects."""

import time

import pytest
from jupyter_client.manager import start_new_kernel
from tests.drivers import patient


class Kernel:
    def __init__(self):
        self.manager, self.client = start_new_kernel(startup_timeout=90)

    def start(self, code):
        return self.client.execute(code)

    def result(self, message, timeout=60):
        """What a cell printed and answered, by kind, and its status."""
        shown = {}
        while True:
            received = self.client.get_iopub_msg(timeout=timeout)
            if received["parent_header"].get("msg_id") != message:
                continue
            kind, content = received["msg_type"], received["content"]
            if kind == "stream":
                shown[content["name"]] = shown.get(content["name"], "") + content["text"]
            elif kind == "execute_result":
                shown.update(content["data"])
            elif kind == "error":
                shown["error"] = content["ename"]
                shown["traceback"] = "\n".join(content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                return shown

    def run(self, code):
        shown = self.result(self.start(code))
        assert "error" not in shown, shown["traceback"]
        return shown

    def wait_for(self, text):
        while True:
            received = self.client.get_iopub_msg(timeout=60)
            if text in received["content"].get("text", ""):
                return

    def complete(self, code):
        return self.client.complete(code, reply=True, timeout=60)["content"]["matches"]

    def inspect(self, code):
        content = self.client.inspect(code, reply=True, timeout=60)["content"]
        return content["data"]["text/plain"]

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(mongodb_uri):
    kernel = Kernel()
    try:
        kernel.run(
            f"""
            import asyncio, ferromongo
            from pymongo.monitoring import CommandListener

            class Commands(CommandListener):
                def __init__(self): self.names = []
                def started(self, event): self.names.append(event.command_name)
                def succeeded(self, event): pass
                def failed(self, event): pass

            commands = Commands()
            client = ferromongo.MongoClient({mongodb_uri!r}, event_listeners=[commands])
            aio = ferromongo.AsyncMongoClient({mongodb_uri!r}, event_listeners=[commands])
            """
        )
        yield kernel
    finally:
        kernel.close()


@pytest.fixture
def shop(kernel, mongodb_database_name):
    """The name of a database with a collection of two documents; `db` and `adb` in the kernel."""
    name = mongodb_database_name
    kernel.run(f"db, adb = client[{name!r}], aio[{name!r}]")
    kernel.run('_ = db["green teas"].insert_many([{"_id": 1, "a": "<b>"}, {"_id": 2}])')
    return name


SLOW = '.c.find_one({"$where": "sleep(10)"}, max_time_ms=25000)'


@pytest.mark.parametrize(
    ("call", "error"),
    [("await adb" + SLOW, "CancelledError"), ("db" + SLOW, "KeyboardInterrupt")],
    ids=["async", "sync"],
)
def test_an_interrupted_cell_ends(kernel, shop, call, error):
    # Slow in small steps: between them the server notices that nobody waits any longer.
    kernel.run("_ = db.c.insert_many([{} for _ in range(2000)])")
    cell = kernel.start(f"print('ready', flush=True)\n{call}")
    kernel.wait_for("ready")
    time.sleep(0.5)
    pressed = time.monotonic()
    kernel.manager.interrupt_kernel()
    assert kernel.result(cell)["error"] == error
    # The query takes 20 seconds. Half a second by design.
    assert time.monotonic() - pressed < patient(8)
    assert kernel.run("await adb.command('ping')")["text/plain"].startswith("{'ok': 1")


@pytest.mark.parametrize("api", ["client", "aio"])
def test_names_are_completed(kernel, shop, api):
    kernel.run("commands.names.clear()")
    assert any(shop in match for match in kernel.complete(f'{api}["{shop[:6]}'))
    database = "db" if api == "client" else "adb"
    assert any("green teas" in match for match in kernel.complete(f'{database}["gr'))
    assert kernel.run("commands.names")["text/plain"] == "['listDatabases', 'listCollections']"


def test_names_are_completed_beside_a_transaction(client, database):
    with client.start_session() as session, session.bind(), session.start_transaction():
        database.teas.insert_one({})
        assert "admin" in client._ipython_key_completions_()
        assert database._ipython_key_completions_() == []
    assert database._ipython_key_completions_() == ["teas"]


async def test_names_are_completed_beside_an_async_transaction(async_client, async_database):
    database = async_database
    async with (
        async_client.start_session() as session,
        session.bind(),
        await session.start_transaction(),
    ):
        await database.teas.insert_one({})
        assert "admin" in async_client._ipython_key_completions_()
        assert database._ipython_key_completions_() == []
    assert database._ipython_key_completions_() == ["teas"]


def test_completion_of_attributes_sends_nothing(kernel, shop):
    kernel.run("commands.names.clear()")
    for code in ("client.li", "aio.li", "db.c.fin", "adb.c.fin", "db.", "client.shop.c.find(li"):
        assert kernel.complete(code), code
    assert kernel.run("commands.names")["text/plain"] == "[]"


@pytest.mark.parametrize("options", ["", "serverSelectionTimeoutMS=60000"])
def test_no_names_come_without_a_server(kernel, options):
    kernel.run(
        f"""
        import socket
        silent = socket.create_server(("127.0.0.1", 0))
        port = silent.getsockname()[1]
        lost = ferromongo.AsyncMongoClient(f"mongodb://127.0.0.1:{{port}}/?{options}")
        """
    )
    begun = time.monotonic()
    kernel.complete('lost["')
    kernel.run("lost_database = lost.a")
    kernel.complete('lost_database["')
    # A second each by design; a selection takes 30, or 60.
    assert time.monotonic() - begun < patient(20)
    kernel.run("await lost.close(); silent.close()")
    kernel.complete('lost["')  # a client that was closed


def test_objects_are_shown_as_tables(kernel, shop):
    kernel.run("commands.names.clear()")
    teas = 'adb["green teas"].find({}, batch_size=1)'
    unsent = kernel.run(teas)["text/html"]
    assert "not sent" in unsent
    assert kernel.run("client")["text/html"].count("RSPrimary") == 1
    assert "ReplicaSetWithPrimary" in kernel.run("aio")["text/html"]
    assert "no transaction" in kernel.run("client.start_session()")["text/html"]
    assert "no transaction" in kernel.run("aio.start_session()")["text/html"]
    assert kernel.run("commands.names")["text/plain"] == "[]"
    kernel.run('cursor = db["green teas"].find()\n_ = cursor.sort("_id", -1).next()')
    rest = kernel.run("cursor")["text/html"]
    assert "&lt;b&gt;" in rest
    assert "<b>&lt;" not in rest
    assert kernel.run("cursor")["text/html"] == rest
    assert kernel.run("list(cursor)")["text/plain"] == "[{'_id': 1, 'a': '<b>'}]"
    assert "at its end" in kernel.run("cursor")["text/html"]
    aggregated = kernel.run('await adb["green teas"].aggregate([{"$sort": {"_id": 1}}])')
    assert "next documents" in aggregated["text/html"]
    assert "inserted id" in kernel.run("db.c.insert_one({})")["text/html"]
    assert "deleted count" in kernel.run("await adb.c.delete_many({})")["text/html"]


def test_find_shows_its_parameters(kernel, shop):
    for method in ("find", "find_one", "find_raw_batches"):
        for database in ("db", "adb"):
            shown = kernel.inspect(f"{database}.c.{method}")
            assert "max_time_ms" in shown
            assert "kwargs" not in shown.partition("Docstring")[0]
