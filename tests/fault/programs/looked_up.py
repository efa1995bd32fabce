"""A client of a `mongodb+srv://` name in a forked child, and one whose look-up is interrupted.

Arguments: the way, the name server's port, URI.
"""

import json
import os
import signal
import sys
import threading
import time

from tests.drivers import package
from tests.fault.programs.forked import in_child
from tests.name_server import use

from ferromongo._calls.srv import THREAD_NAME


def forked(uri):
    client = package.MongoClient(uri, srv_host_validator=lambda host: True)
    client.admin.command("ping")

    def child():
        client.admin.command("ping")  # looks up by itself: the parent's thread is not here
        client.close()
        return "child"

    answers = [in_child(child)()]
    client.admin.command("ping")
    client.close()
    deadline = time.monotonic() + 30
    while any(thread.name == THREAD_NAME for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "the thread outlives its client"
        time.sleep(0.01)
    return [*answers, "parent"]


def interrupted(uri):
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    timer.start()
    try:
        package.MongoClient(uri)
    except KeyboardInterrupt as error:
        return type(error).__name__
    return "it was made"


if __name__ == "__main__":
    way, port, uri = sys.argv[1:]
    use(int(port))
    print(json.dumps({"forked": forked, "interrupted": interrupted}[way](uri)))
