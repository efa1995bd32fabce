"""Ctrl-C in a blocking wait is answered at once, and the client can be used afterwards."""

import asyncio
import json
import signal
import time

import pytest
from tests.drivers import DRIVER_NAME, package, patient
from tests.fault.programs import run, start


@pytest.mark.parametrize("wait", ["query", "selection", "checkout", "backoff"])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_ctrl_c(kind, wait, mongodb_uri, mongodb_database_name):
    with start("interrupted", kind, wait, mongodb_uri, mongodb_database_name) as program:
        try:
            assert program.stdout.readline() == "ready\n"
            time.sleep(1.5 if wait == "checkout" else 0.5)
            pressed = time.monotonic()
            program.send_signal(signal.SIGINT)
            output, _ = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 0
    report = json.loads(output.splitlines()[-1])
    # About 0.1 s by design; the rest is for a machine with other work to do.
    assert report["noticed"] - pressed < patient(3)
    assert report["answer"] == 1


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_loop_that_waits_notices_what_a_signal_handler_schedules(
    loop, mongodb_uri, mongodb_database_name
):
    with start("interrupted_loop", loop, mongodb_uri, mongodb_database_name) as program:
        try:
            assert program.stdout.readline() == "ready\n"
            time.sleep(0.5)
            pressed = time.monotonic()
            program.send_signal(signal.SIGINT)
            output, _ = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 0
    report = json.loads(output.splitlines()[-1])
    # The query takes 20 seconds. Half a second by design.
    assert report["noticed"] - pressed < patient(8)
    assert report["answer"] == 1


class CountingLoop(asyncio.SelectorEventLoop):
    timers = 0

    def call_later(self, *arguments, **options):
        self.timers += 1
        return super().call_later(*arguments, **options)

    def pending_timers(self):
        return [timer for timer in self._scheduled if not timer.cancelled()]


def test_operations_share_a_timer_which_ends_when_nothing_waits(mongodb_uri):
    async def operations():
        loop = asyncio.get_running_loop()
        async with package.AsyncMongoClient(mongodb_uri) as client:
            await client.admin.command("ping")
            loop.timers, begun = 0, loop.time()
            for _ in range(300):
                await client.admin.command("ping")
            # One is armed when the one before has rung, half a second after it was armed.
            assert loop.timers <= 1 + (loop.time() - begun) / 0.5
            while loop.pending_timers():
                await asyncio.to_thread(time.sleep, 0.1)

    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(operations())


def test_a_signal_handler_that_uses_a_client(mongodb_uri, mongodb_database_name):
    assert run("in_a_handler", mongodb_uri, mongodb_database_name) == {"_id": 1}


def test_the_program_ends_while_threads_wait(mongodb_uri, mongodb_database_name):
    assert run("left_running", mongodb_uri, mongodb_database_name) == 5


@pytest.mark.parametrize(
    ("kind", "where", "left"),
    [
        ("sync", "callback", 110),
        ("sync", "commit", 111),
        ("sync", "abort", 110),
        ("async", "callback", 110),
    ],
)
def test_ctrl_c_in_a_transaction(kind, where, left, mongodb_replica_set, mongodb_database_name):
    if where == "abort" and DRIVER_NAME == "pymongo":
        pytest.skip("PyMongo leaves the transaction, and its locks, to the server for a minute")
    address = mongodb_replica_set.primary.address
    with start("interrupted_transaction", kind, where, address, mongodb_database_name) as program:
        try:
            assert program.stdout.readline() == "ready\n"
            time.sleep(0.3)
            program.send_signal(signal.SIGINT)
            output, _ = program.communicate(timeout=120)
        finally:
            program.kill()
    assert program.returncode == 0
    report = json.loads(output.splitlines()[-1])
    assert report == {"in_transaction": False, "n": left}
