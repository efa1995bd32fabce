"""A server played by a script, for what a real one can't be made to do.

It listens in threads, speaks OP_MSG (and the legacy hello), answers as a sane server would, and
keeps a record of what it was sent. A script for a command changes its answer:

    with Peer() as peer:
        peer.cursors.documents = [{"_id": n} for n in range(10)]
        peer.once("find", cut(20))
        peer.on("insert", {"ok": 0, "code": 11000, "errmsg": "duplicate"})
        async with driver.client(peer.uri(retryReads=False)) as client:
            with pytest.raises(AutoReconnect):
                await client.db.c.find_one()
    assert peer.seen["find"] == 1

An answer is a document, bytes to be sent as they are, None for silence, or a function that is
called with the `Request` and returns one of these; it may also send and hang up by itself.
`Peer(mongos, addresses=2)` plays another role (peer_answers.py) on several addresses; further
arguments change fields of its hello reply (None takes one away).
"""

import collections
import contextlib
import socket
import ssl
import struct
import threading
import zlib
from urllib.parse import quote

import bson
from bson import Int64, ObjectId
from tests.fault.peer_answers import URI_OPTIONS, Cursors, ordinary, standalone
from tests.fault.proxy import OP_COMPRESSED, OP_MSG, OP_QUERY, ZLIB

OP_REPLY = 1
MORE_TO_COME = 1 << 1
EXHAUST_ALLOWED = 1 << 16


class Peer:
    def __init__(
        self,
        role=standalone,
        *,
        addresses=1,
        path=None,
        certificates=None,
        streams=False,
        **hello,
    ):
        """`streams`: hello replies have a topologyVersion, so monitors wait for `change`.

        With `path` it listens on a Unix domain socket there, and nowhere else.
        """
        self.role = role
        self.hello_fields = hello
        self.cursors = Cursors()
        self.requests = []
        self.connections = []
        # Called with each new Line before anything is read; true ends the connection.
        self.on_connect = lambda line: False
        # Called with a Line and each message's length before the rest is read; true ends it, too.
        self.on_header = lambda line, length: False
        self.stopping = threading.Event()
        self.failures = []  # of scripts
        self._version = 0 if streams else None
        self._process = ObjectId()
        self._changed = threading.Condition()
        self._scripts = {}
        self._queues = collections.defaultdict(collections.deque)
        self._tls = None
        if certificates is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(certificates.server_file)
        if path is None:
            self._listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(addresses)]
            ports = [listener.getsockname()[1] for listener in self._listeners]
            self.addresses = [f"127.0.0.1:{port}" for port in ports]
        else:
            self._listeners = [socket.socket(socket.AF_UNIX)]
            self._listeners[0].bind(str(path))
            self._listeners[0].listen()
            self.addresses = [quote(str(path), safe="")]
        self._threads = [
            threading.Thread(target=self._accept, args=[n]) for n in range(len(self._listeners))
        ]

    def uri(self, **options):
        options = URI_OPTIONS.get(self.role, {}) | options
        values = {k: str(v).lower() if isinstance(v, bool) else v for k, v in options.items()}
        query = "&".join(f"{name}={value}" for name, value in values.items())
        return f"mongodb://{','.join(self.addresses)}/?{query}"

    def on(self, command, answer):
        """Every `command` gets this answer from now on. All forms of hello are "hello"."""
        self._scripts[command] = answer

    def once(self, command, *answers):
        """The next `command` gets this answer; with several, each of the next ones its own."""
        self._queues[command].extend(answers)

    def sane(self):
        """Forget the scripts."""
        self._scripts.clear()
        self._queues.clear()
        self.on_connect = lambda line: False
        self.on_header = lambda line, length: False

    def change(self, **hello):
        """The hello reply has changed: whoever awaits it hears at once, if the peer streams."""
        with self._changed:
            self.hello_fields |= hello
            if self._version is not None:
                self._version += 1
            self._changed.notify_all()

    @property
    def seen(self):
        """How often each command came, hello aside."""
        return collections.Counter(request.name for request in self.of())

    def of(self, *commands):
        """The requests of these commands, in order; of all but hello if none is named."""
        wanted = (lambda name: name in commands) if commands else (lambda name: name != "hello")
        return [request for request in self.requests if wanted(request.name)]

    @property
    def lines_used(self):
        """The connections over which anything but hello came, i.e. not those of monitors."""
        return [line for line in self.connections if any(n != "hello" for n in line.commands)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stopping.set()
        self.change()
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[: len(self._listeners)]:
            thread.join()
        for line in self.connections:
            line.hang_up()
        for thread in self._threads:
            thread.join()
        for listener in self._listeners:
            listener.close()
        if self.failures and error[0] is None:
            raise self.failures[0]

    def hello(self, request):
        fields = self.role(request) | self.hello_fields
        if self._version is not None:
            version = {"processId": self._process, "counter": Int64(self._version)}
            fields["topologyVersion"] = version
        return {name: value for name, value in fields.items() if value is not None}

    def script(self, request):
        """What to answer: a script, or what a server would."""
        if queue := self._queues.get(request.name):
            return queue.popleft()
        return self._scripts.get(request.name, Request.ordinary)

    def await_change(self, request):
        """Holds a hello that wants to be answered only when there is news."""
        known = request.document.get("topologyVersion", {}).get("counter")
        milliseconds = request.document.get("maxAwaitTimeMS", 0)
        with self._changed:
            self._changed.wait_for(
                lambda: self._version != known or self.stopping.is_set(), milliseconds / 1000
            )

    def _accept(self, address):
        with contextlib.suppress(OSError):
            while True:
                accepted, _ = self._listeners[address].accept()
                line = Line(self, address, len(self.connections), accepted)
                self.connections.append(line)
                thread = threading.Thread(target=line.serve, args=[self._tls])
                self._threads.append(thread)
                thread.start()


class Line:
    """One connection."""

    def __init__(self, peer, address, number, accepted):
        self.peer = peer
        self.address = address
        self.number = number
        self.service = ObjectId()
        self.commands = []
        self.said = ""  # so far, if it authenticates
        self.open = True
        self.socket = accepted

    def serve(self, tls):
        try:
            if self.peer.on_connect(self):
                return
            if tls is not None:
                self.socket = tls.wrap_socket(
                    self.socket, server_side=True, do_handshake_on_connect=False
                )
                self.socket.do_handshake()
            while request := self._read():
                self.commands.append(request.name)
                self.peer.requests.append(request)
                self._answer(request, self.peer.script(request))
        except (OSError, ValueError):  # the other side, a script or `__exit__` has closed it
            pass
        except Exception as error:
            self.peer.failures.append(error)
        finally:
            self.hang_up()
            self.socket.close()
            self.open = False

    def send(self, data):
        self.socket.sendall(data)

    def hang_up(self):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def wait(self, seconds):
        """Sleep; the peer's end cuts it short."""
        if self.peer.stopping.wait(seconds):
            raise OSError

    def _answer(self, request, answer):
        while callable(answer):
            answer = answer(request)
        if answer is not None and not request.flags & MORE_TO_COME:
            self.send(answer if isinstance(answer, bytes) else request.message(answer))
        while request.exhaust and isinstance(answer, dict) and "topologyVersion" in answer:
            request.document["topologyVersion"] = answer["topologyVersion"]
            self.peer.await_change(request)
            answer = self.peer.hello(request)
            self.send(request.message(answer, flags=MORE_TO_COME, to=1))

    def _read(self):
        header = self._exactly(16)
        if header is None:
            return None
        length, number, _, opcode = struct.unpack("<4i", header)
        if self.peer.on_header(self, length):
            return None
        body = self._exactly(length - 16)
        return body and Request(self, number, opcode, body)

    def _exactly(self, count):
        data = bytearray()
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                return None
            data += piece
        return bytes(data)


class Request:
    """A message that came. `document` is its body, with document sequences put in as arrays."""

    def __init__(self, connection, number, opcode, body):
        self.connection = connection
        self.peer = connection.peer
        self.address = connection.address
        self.number = number
        self.opcode = opcode
        if opcode == OP_COMPRESSED:
            opcode, _, compressor = struct.unpack_from("<iiB", body)
            assert compressor == ZLIB, "the peer inflates zlib only"
            body = zlib.decompress(body[9:])
        self.flags = struct.unpack_from("<i", body)[0]
        self.legacy = opcode == OP_QUERY
        if self.legacy:
            self.document = bson.decode(body[body.index(b"\0", 4) + 1 + 8 :])
        else:
            self.document = _body(body[4:])
        name = next(iter(self.document))
        self.name = "hello" if name.lower() in ("hello", "ismaster") else name
        self.exhaust = bool(self.flags & EXHAUST_ALLOWED) and not self.legacy

    def __repr__(self):
        return f"<{self.name} over {self.connection.number}: {self.document}>"

    def ordinary(self):
        """The answer without a script."""
        if self.name != "hello":
            return ordinary(self)
        if "maxAwaitTimeMS" in self.document:
            self.peer.await_change(self)
        return self.peer.hello(self)

    def message(self, answer, *, flags=None, opcode=None, to=None, length=None, number=1, kind=0):
        """The reply's bytes; whatever is named takes the place of what would be true.

        `answer` is a document, or all the bytes behind the header.
        """
        if flags is None:
            flags = MORE_TO_COME if self.exhaust and "topologyVersion" in answer else 0
        if isinstance(answer, bytes):
            data = answer
        elif self.legacy:
            data = struct.pack("<Iqii", 8, 0, 0, 1) + bson.encode(answer)
        else:
            data = struct.pack("<IB", flags, kind) + bson.encode(answer)
        opcode = opcode or (OP_REPLY if self.legacy else OP_MSG)
        length = 16 + len(data) if length is None else length
        return struct.pack("<4i", length, number, self.number if to is None else to, opcode) + data

    def encoded(self, answer=None):
        """The bytes of an answer, of the ordinary one by default."""
        answer = self.ordinary() if answer is None else answer
        while callable(answer):
            answer = answer(self)
        return answer if isinstance(answer, bytes) else self.message(answer)


def cut(after, answer=None):
    """The first bytes of an answer, then the end of the stream."""

    def act(request):
        data = request.encoded(answer)
        request.connection.send(data[:after])
        request.connection.hang_up()

    return act


def drip(every, answer=None):
    """An answer byte by byte."""

    def act(request):
        for byte in request.encoded(answer):
            request.connection.send(bytes([byte]))
            request.connection.wait(every)

    return act


def delayed(seconds, answer=None):
    def act(request):
        request.connection.wait(seconds)
        return request.encoded(answer)

    return act


def lying(answer=None, **lies):
    """The ordinary answer (or another) in a message that is wrong in what is named."""
    return lambda request: request.message(request.ordinary() if answer is None else answer, **lies)


def _body(sections):
    document, at = {}, 0
    while at < len(sections):
        kind, size = struct.unpack_from("<Bi", sections, at)
        section = sections[at + 1 : at + 1 + size]
        if kind == 0:
            document |= bson.decode(section)
        else:
            end = section.index(b"\0", 4)
            document[section[4:end].decode()] = bson.decode_all(section[end + 1 :])
        at += 1 + size
    return document
