"""Listeners where threads are in danger: after a fork, and at the end of the interpreter.

Arguments: what to try, URI. Prints "well" if all is.
"""

import json
import sys
import threading
import time

from tests.drivers import package
from tests.fault.programs.forked import in_child
from tests.listeners import Recorder


def forked(uri):
    """The child hears of its own doings only, of background events too; so does the parent."""
    recorder = Recorder()
    client = package.MongoClient(uri, event_listeners=[recorder], heartbeatFrequencyMS=500)
    client.admin.command("ping")

    def child():
        recorder.events.clear()
        client.admin.command("buildinfo")
        names = {event.command_name for event in recorder.commands()}
        # Only a dispatcher of its own tells it of these.
        seen, end = len(recorder.events), time.monotonic() + 30
        while len(recorder.events) < seen + 2 and time.monotonic() < end:
            time.sleep(0.02)
        return sorted(names), len(recorder.events) >= seen + 2

    answer = in_child(child)()
    client.admin.command("hostInfo")
    mine = [event.command_name for event in recorder.commands()]
    client.close()
    assert answer == [["buildinfo"], True], answer
    assert mine == ["ping", "ping", "hostInfo", "hostInfo"], mine


def many(uri):
    """Many dispatchers that wait at the fork; the child's own take the places of their threads."""
    clients = [package.MongoClient(uri, event_listeners=[Recorder()]) for _ in range(16)]
    for client in clients:
        client.admin.command("ping")

    def child():
        for client in clients:
            client.admin.command("ping")
        return len(clients)

    for _ in range(40):
        assert in_child(child)() == len(clients)
    for client in clients:
        client.close()


def left_behind(uri):
    """A client that nobody closes."""
    client = package.MongoClient(uri, event_listeners=[Recorder()])
    client.admin.command("ping")
    globals()["kept"] = client


def stuck(uri):
    """A listener that never returns, on the dispatcher, when the interpreter ends."""
    entered = threading.Event()

    class Stuck(package.monitoring.ServerHeartbeatListener):
        def started(self, event):
            entered.set()
            threading.Event().wait()

        def succeeded(self, event):
            pass

        failed = succeeded

    client = package.MongoClient(uri, event_listeners=[Stuck()])
    assert entered.wait(10)
    globals()["kept"] = client


WAYS = {way.__name__: way for way in (forked, many, left_behind, stuck)}

if __name__ == "__main__":
    WAYS[sys.argv[1]](sys.argv[2])
    print(json.dumps("well"))
