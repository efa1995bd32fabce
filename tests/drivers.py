"""One test body for both APIs: written with `await`, run on the synchronous one too.

    @both_drivers
    async def test_ping(driver, mongodb_uri):
        async with driver.client(mongodb_uri) as client:
            assert (await client.admin.command("ping"))["ok"] == 1

On the synchronous driver the body sees the same objects behind a thin wrapper, in which every
call has been made when it returns and `await` only hands out its result. FERROMONGO_TEST_DRIVER
names another package with PyMongo's API to run the tests on: what PyMongo itself fails is a
mistake in the test, or something ferromongo does better on purpose.
"""

import asyncio
import contextlib
import functools
import importlib
import inspect
import os
import threading
import time

DRIVER_NAME = os.environ.get("FERROMONGO_TEST_DRIVER", "ferromongo")
package = importlib.import_module(DRIVER_NAME)

# Clients of this name (`appName`) are hit by what the fixture `fail` does to the servers.
APP = "tests of faults"
gridfs = importlib.import_module("gridfs" if DRIVER_NAME == "pymongo" else f"{DRIVER_NAME}.gridfs")


def __getattr__(name):
    # Made on demand: the programs of tests/fault import this file, and pytest is a third of the
    # time that their imports take.
    if name != "ferromongo_only":
        raise AttributeError(name)
    import pytest

    reason = "something that ferromongo adds to PyMongo's API"
    return pytest.mark.skipif(DRIVER_NAME != "ferromongo", reason=reason)


def both_drivers(body):
    """Make `async def body(driver, ...)` a test that pytest runs once per driver."""

    @functools.wraps(body)
    def test(driver, **fixtures):
        driver.run(body(driver, **fixtures))

    test.__signature__ = inspect.signature(body)
    del test.__wrapped__  # or pytest would take the test for a coroutine
    return test


class AsyncDriver:
    name = "async"

    def client(self, *arguments, **options):
        return package.AsyncMongoClient(*arguments, **options)

    def gridfs(self, name, *arguments, **options):
        """An object of that class of GridFS."""
        return getattr(gridfs, f"Async{name}")(*arguments, **options)

    def run(self, coroutine):
        return asyncio.run(coroutine)

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    def start(self, function, *arguments):
        """Run an async function beside the caller: `await job.result()` when it matters."""
        return _Task(asyncio.ensure_future(function(*arguments)))

    async def blocking(self, function, *arguments):
        """Call something that blocks, while what was started goes on."""
        return await asyncio.to_thread(function, *arguments)


class SyncDriver:
    name = "sync"

    def client(self, *arguments, **options):
        return Awaitable(package.MongoClient(*arguments, **options))

    def gridfs(self, name, *arguments, **options):
        return Awaitable(getattr(gridfs, name)(*map(_plain, arguments), **options))

    def run(self, coroutine):
        # Nothing in it really waits: the first step is also the last.
        try:
            coroutine.send(None)
        except StopIteration as end:
            return end.value
        finally:
            coroutine.close()
        raise AssertionError("the test awaited something that is not the driver's")

    async def sleep(self, seconds):
        time.sleep(seconds)

    def start(self, function, *arguments):
        return _Thread(lambda: self.run(function(*arguments)))

    async def blocking(self, function, *arguments):
        return function(*arguments)


class _Task:
    def __init__(self, task):
        self._task = task

    async def result(self, timeout=60):
        return await asyncio.wait_for(self._task, patient(timeout))


class _Thread:
    def __init__(self, work):
        self._result = self._error = None
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work):
        try:
            self._result = work()
        except BaseException as error:
            self._error = error

    async def result(self, timeout=60):
        self._thread.join(patient(timeout))
        if self._thread.is_alive():
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result


class _Result:
    """What a synchronous call returned, to be awaited."""

    def __init__(self, value):
        self._value = value

    def __await__(self):
        return self._value
        yield  # makes this a generator; never reached


class Awaitable:
    """A synchronous client, database, cursor, session, ... in the asynchronous one's grammar."""

    def __init__(self, target):
        self._target = target

    def __getattr__(self, name):
        value = getattr(self._target, name)
        if _is_driver_object(value):
            return Awaitable(value)
        return _call(value) if inspect.isroutine(value) else value

    def __getitem__(self, key):
        return Awaitable(self._target[key])

    def __call__(self, function):
        return _call(self._target(_plain(function)))

    def __repr__(self):
        return repr(self._target)

    def __await__(self):
        return self
        yield  # as above: `await collection.aggregate(...)` gives the cursor

    async def __aenter__(self):
        entered = self._target.__enter__()
        return self if entered is self._target else _wrapped(entered)

    async def __aexit__(self, *error):
        return self._target.__exit__(*error)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            value = next(self._target)
        except StopIteration:
            raise StopAsyncIteration from None
        return Awaitable(value) if _is_driver_object(value) else value


def _call(method):
    @functools.wraps(method)
    def call(*arguments, **options):
        value = method(
            *map(_plain, arguments), **{name: _plain(value) for name, value in options.items()}
        )
        if isinstance(value, list):
            value = [_wrapped(one) for one in value]
        return Awaitable(value) if _is_driver_object(value) else _Result(value)

    return call


def _wrapped(value):
    return Awaitable(value) if _is_driver_object(value) else value


def _plain(argument):
    """An argument as the synchronous API takes it: sessions unwrapped, callbacks made plain."""
    if isinstance(argument, Awaitable):
        return argument._target
    if inspect.iscoroutinefunction(argument):
        return lambda *values, **named: SyncDriver().run(argument(*map(_wrapped, values), **named))
    return argument


def _is_driver_object(value):
    return ".synchronous." in type(value).__module__ and not isinstance(value, BaseException)


def patient(seconds):
    """An upper bound that is to catch a hang: longer on a machine that has more to do."""
    return seconds * max(1, os.getloadavg()[0] / os.cpu_count())


async def eventually(driver, condition, timeout=30):
    """Wait until `condition()` is true."""
    deadline = time.monotonic() + patient(timeout)
    while not condition():
        assert time.monotonic() < deadline, "what was expected did not come about"
        await driver.sleep(0.02)


def wait_until(condition, timeout=30):
    """Wait until `condition()` is true, and return it; blocks also within a loop."""
    deadline = time.monotonic() + patient(timeout)
    while not (found := condition()):
        assert time.monotonic() < deadline, "what was expected did not come about"
        time.sleep(0.02)
    return found


@contextlib.contextmanager
def takes(at_least, at_most):
    """The block must take that many seconds."""
    start = time.monotonic()
    yield
    seconds = time.monotonic() - start
    assert at_least <= seconds <= patient(at_most), f"took {seconds:.3f} s"
