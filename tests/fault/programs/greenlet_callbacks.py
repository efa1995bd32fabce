"""The user's code is called by the engine and lets other greenlets run. See `greenlets`."""

import contextvars
import logging
import sys

from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from pymongo import monitoring
from tests.drivers import package
from tests.fault.programs.greenlet_tools import all_of, slow
from tests.listeners import Recorder

CALLER = contextvars.ContextVar("CALLER", default=None)


class Sleeping(monitoring.CommandListener, monitoring.ConnectionPoolListener):
    """Lets others run in the midst of each event, which it notes by the greenlet that called."""

    def __init__(self, hub):
        self._hub = hub
        self.heard = {}

    def _hear(self, event):
        heard = self.heard.setdefault(CALLER.get(), [])
        heard.append((type(event).__name__, self._hub.current()))
        self._hub.sleep(0.001)

    started = succeeded = failed = _hear
    pool_created = pool_ready = pool_cleared = pool_closed = lambda self, event: None
    connection_created = connection_ready = connection_closed = lambda self, event: None
    connection_check_out_started = connection_check_out_failed = lambda self, event: None
    connection_checked_out = connection_checked_in = _hear


def listeners(hub, client, database):
    """Each call's events reach its own greenlet, in order, before it returns."""
    listener = Sleeping(hub)
    watched = package.MongoClient(sys.argv[3], event_listeners=[listener], maxPoolSize=3)
    collection = watched[database.name].listeners
    own = {}

    def work(number):
        CALLER.set(number)
        own[number] = hub.current()
        for turn in range(5):
            collection.insert_one({"_id": f"{number} {turn}"})
            wanted = [
                "ConnectionCheckedOutEvent",
                "CommandStartedEvent",
                "CommandSucceededEvent",
                "ConnectionCheckedInEvent",
            ]
            heard = listener.heard[number]
            assert [name for name, _ in heard] == wanted * (turn + 1), heard
            assert all(greenlet is own[number] for _, greenlet in heard)

    all_of(hub, *[(work, number) for number in range(12)])
    assert set(listener.heard) == {*range(12)}
    watched.close()


def decoders(hub, client, database):
    """Type decoders, server selectors and document classes that wait."""

    def decode(value):
        hub.sleep(0.001)
        return value.replace("a", "b")

    class Decoder(TypeDecoder):
        bson_type = str

        def transform_bson(self, value):
            return decode(value)

    def select(servers):
        hub.sleep(0.001)
        return servers

    picky = package.MongoClient(sys.argv[3], server_selector=select, maxPoolSize=4)
    options = CodecOptions(type_registry=TypeRegistry([Decoder()]))
    collection = picky[database.name].get_collection("decoders", codec_options=options)

    def work(number):
        collection.insert_many([{"n": number, "text": "aa"} for _ in range(5)])
        found = [*collection.find({"n": number}, batch_size=2)]
        assert [document["text"] for document in found] == ["bb"] * 5, found
        assert len(collection.find({"n": number}, batch_size=2).to_list()) == 5
        return number

    assert all_of(hub, *[(work, number) for number in range(12)]) == [*range(12)]
    picky.close()


def handlers(hub, client, database):
    """A log handler that waits under its (patched) lock."""
    lines = []

    class Handler(logging.Handler):
        def emit(self, record):
            hub.sleep(0.001)
            lines.append(record.getMessage())

    logger = logging.getLogger("pymongo.command")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(Handler())

    def work(number):
        for turn in range(3):
            database.handlers.insert_one({"_id": f"{number} {turn}"})

    all_of(hub, *[(work, number) for number in range(8)])
    logger.setLevel(logging.WARNING)
    started = [line for line in lines if '"Command started"' in line and '"insert"' in line]
    assert len(started) == 24, len(started)


def background(hub, client, database):
    """Background events are delivered while greenlets wait, and their listener may wait too."""
    recorder = Recorder()
    beats = []

    class Heart(monitoring.ServerHeartbeatListener):
        def started(self, event):
            hub.sleep(0.001)
            beats.append(event)

        succeeded = failed = started

    first = package.MongoClient(sys.argv[3], event_listeners=[recorder])
    slow(first, 1)
    names = [type(event).__name__ for event in recorder.events]
    assert names.index("PoolReadyEvent") < names.index("ConnectionCheckedOutEvent"), names
    first.close()
    assert recorder.of(monitoring.TopologyClosedEvent), "told before close returned"

    watched = package.MongoClient(
        sys.argv[3], event_listeners=[Heart()], heartbeatFrequencyMS=500, maxPoolSize=5
    )
    for _ in range(1000):
        if len(beats) >= 8:
            break
        hub.sleep(0.02)
    assert len(beats) >= 8
    all_of(hub, *[(slow, watched, 20)] * 10)
    watched.close()
