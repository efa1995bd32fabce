"""A TCP proxy that holds every reply back for a while, in a process of its own.

It stands for a network: the wait is the same for every peer, and since it runs elsewhere
its work is not counted as a client's CPU. `with DelayProxy(address, seconds) as proxy`.
"""

import contextlib
import multiprocessing
import queue
import socket
import threading
import time


class DelayProxy:
    def __init__(self, upstream, delay):
        self._upstream = upstream
        self._delay = delay

    def __enter__(self):
        # "spawn": forking a process that holds the peers' threads and locks is not safe.
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(
            target=serve, args=(self._upstream, self._delay, sender), daemon=True
        )
        self._process.start()
        if not receiver.poll(timeout=30):
            raise TimeoutError("the delay proxy did not start")
        self.address = receiver.recv()
        return self

    def __exit__(self, *_):
        self._process.terminate()
        self._process.join()


def serve(upstream, delay, ready):
    listener = socket.create_server(("127.0.0.1", 0))
    ready.send(listener.getsockname())
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(upstream)
        for source, sink, wait in ((client, server, 0), (server, client, delay)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=relay, args=(source, sink, wait), daemon=True).start()


def relay(source, sink, delay):
    """Pass bytes on, each chunk `delay` seconds late.

    As on a network, chunks that follow one another are not held up by each other's delay.
    """
    if not delay:
        return pass_on(iter(lambda: source.recv(1 << 20), b""), sink, source)
    under_way = queue.SimpleQueue()
    late = threading.Thread(target=pass_on, args=(delayed(under_way), sink, source), daemon=True)
    late.start()
    with contextlib.suppress(OSError):
        while chunk := source.recv(1 << 20):
            under_way.put((time.monotonic() + delay, chunk))
    under_way.put((0.0, b""))
    return late.join()


def delayed(under_way):
    """A blocking sleep is exact to about 0.1 ms."""
    while (arrives := under_way.get())[1]:
        time.sleep(max(arrives[0] - time.monotonic(), 0))
        yield arrives[1]


def pass_on(chunks, sink, source):
    with contextlib.suppress(OSError):
        for chunk in chunks:
            sink.sendall(chunk)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
