"""A TCP line that understands nothing of what it passes on, so it can carry TLS.

It can pass on bytes in small pieces, and listen on an address that no certificate names.
"""

import contextlib
import socket
import threading


class Relay:
    def __init__(self, target, *, host="127.0.0.1", piece=1 << 16):
        name, port = target.rsplit(":", 1)
        self._target = (name, int(port))
        self._piece = piece
        self._listener = socket.create_server((host, 0))
        self._sockets = []
        self._threads = []
        self.address = "{}:{}".format(*self._listener.getsockname())

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *error):
        self._listener.shutdown(socket.SHUT_RDWR)
        self.cut()
        for thread in self._threads:
            thread.join()
        for one in (self._listener, *self._sockets):
            one.close()

    def cut(self):
        """End every connection where it is."""
        for one in list(self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _start(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    self._sockets.append(one)
                self._start(self._pass, near, far)
                self._start(self._pass, far, near)

    def _pass(self, source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                for start in range(0, len(data), self._piece):
                    sink.sendall(data[start : start + self._piece])
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
