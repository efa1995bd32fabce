"""The drivers that are measured, each opened so that one body of a workload fits all.

A peer's client is PyMongo-shaped, so that workloads are written once; what its API does
otherwise is bridged here (sessions) or, for mongojet, in a file of its own.
"""

import importlib
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pymongo.monitoring import CommandListener

from benches import mongojet_peer

DATABASE = "ferromongo_bench"
# Compared with Motor only, and when it is named: `--peers ferromongo.motor,motor`.
MOTOR_API = "ferromongo.motor"


@dataclass(frozen=True)
class OpenPeer:
    name: str
    database: Any
    transaction: Callable[[], AbstractContextManager]  # asynchronous in the async group
    close: Callable[[], Any]


@dataclass(frozen=True)
class Peer:
    name: str
    kind: str  # "sync" or "async"
    module: str
    # (peer, module, uri, **options) -> OpenPeer, a coroutine function in the async group
    opener: Callable

    def absence(self):
        """Why this peer cannot be measured here, or None."""
        try:
            importlib.import_module(self.module)
        except ImportError as error:
            return str(error)
        return None

    def open(self, uri, *, listened=False, log=None):
        options = {"event_listeners": [Nothing()]} if listened else {}
        if log is not None:
            options["transaction_log"] = self._log(log)
        return self.opener(self.name, importlib.import_module(self.module), uri, **options)

    def _log(self, where):
        if not self.module.startswith("ferromongo"):
            raise NotImplementedError("it has no transaction log")
        log_class = importlib.import_module("ferromongo.transaction_log").TransactionLog
        if where == "memory":
            return log_class()
        target = Path(__file__).parents[1] / "target"  # /tmp may be in memory
        target.mkdir(exist_ok=True)
        directory = tempfile.TemporaryDirectory(dir=target)
        DIRECTORIES.append(directory)
        return log_class(Path(directory.name) / "transactions.log")


# Of logs.
DIRECTORIES = []


def remove_directories():
    while DIRECTORIES:
        DIRECTORIES.pop().cleanup()


class Nothing(CommandListener):
    """A listener of commands that does nothing with them."""

    def started(self, event):
        pass

    succeeded = failed = started


def open_sync(name, module, uri, **options):
    client = module.MongoClient(uri, **options)

    @contextmanager
    def transaction():
        with client.start_session() as session, session.start_transaction():
            yield session

    return OpenPeer(name, client[DATABASE], transaction, client.close)


async def open_async(name, module, uri, **options):
    client = module.AsyncMongoClient(uri, **options)

    @asynccontextmanager
    async def transaction():
        async with client.start_session() as session, await session.start_transaction():
            yield session

    return OpenPeer(name, client[DATABASE], transaction, client.close)


async def open_motor(name, module, uri, **options):
    client = module.AsyncIOMotorClient(uri, **options)

    @asynccontextmanager
    async def transaction():
        async with await client.start_session() as session, session.start_transaction():
            yield session

    async def close():
        client.close()

    return OpenPeer(name, client[DATABASE], transaction, close)


async def open_mongojet(name, module, uri, **options):
    if options:
        raise NotImplementedError("it has no listeners")
    if "compressors=" in uri:
        raise NotImplementedError("it is built without compression")
    client = await module.create_client(uri)
    database = mongojet_peer.Database(client[DATABASE])
    return OpenPeer(name, database, lambda: mongojet_peer.transaction(client), client.close)


# The first of each kind is the reference: ratios are "peer divided by reference".
PEERS = (
    Peer("ferromongo", "sync", "ferromongo", open_sync),
    Peer("pymongo", "sync", "pymongo", open_sync),
    Peer("ferromongo", "async", "ferromongo", open_async),
    Peer("pymongo", "async", "pymongo", open_async),
    Peer(MOTOR_API, "async", "ferromongo.motor_asyncio", open_motor),
    Peer("motor", "async", "motor.motor_asyncio", open_motor),
    Peer("mongojet", "async", "mongojet", open_mongojet),
)
