"""A TCP proxy in front of one server that passes, delays, cuts or withholds its replies.

It reads the message frames that go by, so that a fault can be aimed at one command's reply and a
test can count what the server was sent. It runs in a thread with an event loop of its own. With a
replica set's certificates it speaks TLS on both sides.
"""

import asyncio
import collections
import ssl
import struct
import threading
import zlib
from dataclasses import dataclass, field

import bson


class Proxy:
    def __init__(self, target, certificates=None):
        self._inner = self._outer = None
        if certificates is not None:
            self._inner = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._inner.load_cert_chain(certificates.server_file)
            self._outer = ssl.create_default_context(cafile=certificates.ca_file)
        self._host, port = target.rsplit(":", 1)
        self._port = int(port)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._listening = threading.Event()
        self._rules = []
        self.links = []
        self.delay = 0.0  # seconds before each reply is passed on
        self.port = 0

    def uri(self, **options):
        query = "".join(f"&{name}={value}" for name, value in options.items())
        return f"mongodb://127.0.0.1:{self.port}/?directConnection=true{query}"

    def cut(self, command, *, after, times=1):
        """Pass `after` bytes of the reply to `command`, then close the connection."""
        self._rules.append(_Rule(command, times, after))

    def stall(self, command, times=1):
        """Withhold the reply to `command`, which the server has executed, and all after it."""
        self._rules.append(_Rule(command, times, None))

    def hold(self, command, skip=0, reply=False):
        """Keep one `command` from the server, or with `reply` its reply from the client, and tell
        when it has arrived here. All that follows on its connection waits, too."""
        hold = Hold(self._loop)
        self._rules.append(_Rule(command, 1, None, skip, hold, reply))
        return hold

    def freeze(self):
        """Accept connections and read what they send, but pass nothing in either direction."""
        self._loop.call_soon_threadsafe(self._flow.clear)

    def thaw(self):
        self._loop.call_soon_threadsafe(self._flow.set)

    @property
    def seen(self):
        """How often each command was sent."""
        return collections.Counter(command for link in self.links for command in link.commands)

    def forget(self):
        """Count from here on."""
        for link in self.links:
            link.commands.clear()
            link.messages.clear()

    def sent(self, command):
        """Every command of that name as it was sent, unless compressed."""
        messages = (message for link in self.links for message in link.messages)
        return [_body(message) for message in messages if _command_name(message) == command]

    def links_of(self, command):
        """The connections over which `command` was sent."""
        return [link for link in self.links if command in link.commands]

    @property
    def open_links(self):
        return [link for link in self.links if link.open]

    @property
    def sessions_resumed(self):
        """How many TLS handshakes went on from an earlier one."""
        return self._inner.session_stats()["hits"]

    def __enter__(self):
        self._thread.start()
        self._listening.wait()
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self):
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self):
        self._stop = asyncio.Event()
        self._flow = asyncio.Event()
        self._flow.set()
        self._tasks = set()
        self._ends = []
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._inner)
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        await self._stop.wait()
        # With its server gone, asyncio would lose a connection it is about to accept, unclosed.
        for listening in server.sockets:
            self._loop.remove_reader(listening.fileno())
        await asyncio.sleep(0.01)
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for end in self._ends:
            end.abort()
        await asyncio.sleep(0.01)  # closed transports let go of their sockets a step or two later

    def _accept(self, reader, writer):
        end = writer.transport
        # Closing waits until what was written is sent, for ever if the client does not read:
        # hence the abort of all at the end.
        self._ends.append(end)
        if self._stop.is_set():
            end.abort()
            return
        task = asyncio.create_task(self._link(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # Here rather than in the task, which might be cancelled before its first step. The writer
        # and not its transport: since Python 3.12 a writer complains that goes before it is closed.
        task.add_done_callback(lambda _: writer.close())

    async def _link(self, reader, writer):
        link = Link()
        self.links.append(link)
        try:
            upstream, downstream = await asyncio.open_connection(
                self._host, self._port, ssl=self._outer
            )
        except OSError:
            link.open = False
            return
        try:
            # The first direction to end takes the other with it, as closing a socket does.
            pumps = [
                asyncio.ensure_future(self._pass_requests(link, reader, downstream)),
                asyncio.ensure_future(self._pass_replies(link, upstream, writer)),
            ]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            link.open = False
            for pump in pumps:
                pump.cancel()
            # Before the next wait: this task may be cancelled in it.
            downstream.transport.abort()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pass_requests(self, link, reader, writer):
        while message := await _message(reader):
            await self._flow.wait()
            command = _command_name(message)
            link.commands.append(command)
            link.messages.append(message)
            if _opcode(message) == OP_COMPRESSED:
                link.compressed.append(command)
            for rule in self._rules:
                if rule.command == command and rule.times > 0:
                    if rule.skip > 0:
                        rule.skip -= 1
                        continue
                    rule.times -= 1
                    link.rule = rule
                    break
            if link.rule is not None and link.rule.hold is not None and not link.rule.reply:
                rule, link.rule = link.rule, None
                await rule.hold._here()
            writer.write(message)
            await writer.drain()

    async def _pass_replies(self, link, reader, writer):
        while message := await _message(reader):
            await asyncio.sleep(self.delay)
            await self._flow.wait()
            if link.rule is not None and link.rule.hold is not None:
                rule, link.rule = link.rule, None
                await rule.hold._here()
            if link.rule is None:
                writer.write(message)
                await writer.drain()
            elif link.rule.after is None:
                await asyncio.Future()  # until the client hangs up
            else:
                writer.write(message[: link.rule.after])
                await writer.drain()
                return


@dataclass
class Link:
    """One connection through the proxy."""

    commands: list = field(default_factory=list)
    messages: list = field(default_factory=list)
    compressed: list = field(default_factory=list)  # those of the commands that came compressed
    open: bool = True
    rule: "_Rule | None" = None


@dataclass
class _Rule:
    command: str
    times: int
    after: int | None
    skip: int = 0
    hold: "Hold | None" = None
    reply: bool = False  # whether it is the reply that is held


class Hold:
    """A message that waits in the proxy, once it has `arrived`, to be released or never."""

    def __init__(self, loop):
        self._loop = loop
        self._released = asyncio.Event()
        self.arrived = threading.Event()

    def release(self):
        """Pass it on: also when the client is gone."""
        self._loop.call_soon_threadsafe(self._released.set)

    async def _here(self):
        self.arrived.set()
        await self._released.wait()


async def _message(reader):
    """The next whole message, or None when the sender has closed."""
    try:
        header = await reader.readexactly(16)
        return header + await reader.readexactly(struct.unpack_from("<i", header)[0] - 16)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _command_name(message):
    """The first key of an OP_MSG body, zlib or not, or of a legacy handshake's query."""
    opcode = _opcode(message)
    if opcode == OP_COMPRESSED and message[24] == ZLIB:
        message = message[:12] + message[16:20] + zlib.decompress(message[25:])
        opcode = _opcode(message)
    if opcode == OP_MSG:
        start = 16 + 4 + 1
    elif opcode == OP_QUERY:
        start = message.index(b"\0", 20) + 1 + 8
    else:
        return f"opcode {opcode}"
    first_key = start + 4 + 1
    return message[first_key : message.index(b"\0", first_key)].decode()


def _body(message):
    start = 16 + 4 + 1
    (length,) = struct.unpack_from("<i", message, start)
    return bson.decode(message[start : start + length])


def _opcode(message):
    return struct.unpack_from("<i", message, 12)[0]


OP_MSG = 2013
OP_QUERY = 2004
OP_COMPRESSED = 2012
ZLIB = 2  # the compressor that Python brings along; messages of others have no command name here
