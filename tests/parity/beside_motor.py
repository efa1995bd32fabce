"""The same program with Motor and with `ferromongo.motor_asyncio`, side by side.

A program is an `async def` that takes a module and a collection and lists what it observes. It runs
with both on databases of its own, and what is observed must be the same.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from bson import ObjectId

Program = Callable[[Any, Any], Awaitable[list[Any]]]

MODULES = ("motor.motor_asyncio", "ferromongo.motor_asyncio")


class Programs(dict[str, Program]):
    """Those of a module: a decorator that gathers them, and the test that runs them."""

    def __call__(self, body: Program) -> Program:
        self[body.__name__] = body
        return body

    def test(self) -> Any:
        """To be called behind the last program."""

        @pytest.mark.filterwarnings("ignore::DeprecationWarning")
        @pytest.mark.parametrize("name", self)
        def test_same_as_motor(name: str, mongodb_uri: str) -> None:
            body = self[name]
            theirs, ours = (asyncio.run(observed(module, body, mongodb_uri)) for module in MODULES)
            assert ours == theirs, f"{ours}\nMotor: {theirs}"
            assert theirs, "nothing was observed"

        return test_same_as_motor


async def observed(name, body, uri):
    module = importlib.import_module(name)
    client = module.AsyncIOMotorClient(uri)
    database = client[f"motor_{ObjectId()}"]
    try:
        return await body(module, database.things)
    finally:
        await client.drop_database(database)
        client.close()


async def raised(awaitable):
    """The error that awaiting raises, by its class."""
    try:
        await awaitable
    except Exception as error:
        return type(error)
    return None


def raised_at_once(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except Exception as error:
        return type(error)
    return None


async def filled(collection, count=250):
    await collection.insert_many([{"_id": number} for number in range(count)])


async def raised_stop(cursor):
    try:
        await cursor.next()
    except StopAsyncIteration:
        return "stop"
    except Exception as error:
        return type(error)
