"""mongojet in PyMongo's shape, as far as the workloads need it.

Its `find` is a coroutine, commands have another name, sessions are awaited. The wrappers
stay as thin as they can, since their cost counts as mongojet's.
"""

import os
import sys
from contextlib import asynccontextmanager


@asynccontextmanager
async def transaction(client):
    session = await client.start_session()
    async with await session.start_transaction():
        yield session


class Database:
    def __init__(self, database):
        self.command = database.run_command
        self._database = database

    def __getitem__(self, name):
        return Collection(self._database[name])


class Collection:
    def __init__(self, collection):
        self.aggregate = collection.aggregate
        self.count_documents = collection.count_documents
        self.find_one = collection.find_one
        self.find_one_and_update = collection.find_one_and_update
        self.insert_one = collection.insert_one
        self.insert_many = collection.insert_many
        self.update_one = collection.update_one
        self._find = collection.find

    def find(self, query):
        return Cursor(self._find(query))

    def __getattr__(self, name):
        # The row that wants it is then measured without this peer.
        raise NotImplementedError(f"it has no {name}")


class Cursor:
    """A find that has not started: the coroutine is awaited at the first read."""

    def __init__(self, find):
        self._find = find

    async def __aiter__(self):
        async for document in await self._find:
            yield document

    async def to_list(self):
        return await (await self._find).to_list()


def leave(code):
    """End the process without finalizing the interpreter.

    A thread of mongojet's sometimes enters an interpreter that is shutting down, which
    aborts the process after all is done and said, and would turn a pass into a failure.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
