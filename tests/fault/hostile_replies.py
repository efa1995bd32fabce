"""Replies that a server in its senses never sends, and the exceptions they end in."""

import struct
import zlib
from dataclasses import dataclass, field, replace

import bson
from bson import Decimal128, Int64
from bson.errors import InvalidBSON
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    DuplicateKeyError,
    NotPrimaryError,
    OperationFailure,
    ProtocolError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WriteError,
)
from tests.drivers import DRIVER_NAME
from tests.fault.peer import OP_REPLY, cut, lying
from tests.fault.proxy import OP_COMPRESSED, OP_MSG, OP_QUERY


@dataclass
class Group:
    """Answers for `Peer.on`, by name."""

    answers: dict
    usual: type | None  # what is raised; None: nothing is
    unlike: dict = field(default_factory=dict)  # where it is something else
    pymongo: dict = field(default_factory=dict)  # where PyMongo does something else, and worse
    closes: bool = False  # the connection is not used again

    def expected(self, name):
        expected = self.unlike.get(name, self.usual)
        return self.pymongo.get(name, expected) if DRIVER_NAME == "pymongo" else expected


RAW = (AttributeError, LookupError, TypeError, ValueError, struct.error, zlib.error, OverflowError)
MIN_INT32, MAX_INT32 = -(2**31), 2**31 - 1


def changed(**fields):
    """The ordinary reply with other fields; None takes one away."""

    def answer(request):
        reply = request.ordinary() | fields
        return {name: value for name, value in reply.items() if value is not None}

    return answer


def cursor(**fields):
    """The same for what is within `cursor`; `batch` stands for firstBatch or nextBatch."""

    def answer(request):
        reply = request.ordinary()
        inner = reply.get("cursor", {})  # none if the client comes back for a cursor unknown
        for name, value in fields.items():
            batch = "firstBatch" if request.name == "find" else "nextBatch"
            inner[batch if name == "batch" else name] = value
        reply["cursor"] = {name: value for name, value in inner.items() if value is not None}
        return reply

    return answer


def patched(*patches):
    """Bytes of the ordinary message replaced at places; negative ones count from the end."""

    def answer(request):
        data = bytearray(request.encoded())
        for at, new in patches:
            at = at % len(data)
            data[at : at + len(new)] = new
        return bytes(data)

    return answer


def twice(request):
    return request.encoded() * 2


def sections(*kinds):
    """The flags, then the ordinary document once for each kind."""

    def answer(request):
        document = bson.encode(request.ordinary())
        body = b"".join(bytes([kind]) + document for kind in kinds)
        return request.message(b"\0\0\0\0" + body)

    return answer


def with_element(element):
    """The ordinary document with raw bytes of an element in front."""

    def answer(request):
        document = bson.encode(request.ordinary())[4:]
        length = struct.pack("<i", 4 + len(element) + len(document))
        return request.message(b"\0" * 5 + length + element + document)

    return answer


def echoed(request):
    """The request itself sent back, as a legacy query."""
    return request.message(
        b"\0\0\0\0admin.$cmd\0\0\0\0\0\1\0\0\0" + bson.encode({}), opcode=OP_QUERY
    )


def sasl(done=False, conversation=1, **fields):
    """A step of the SASL conversation. The client's nonce stands for `{nonce}` in its payload."""

    def answer(request):
        payload = fields.get("payload", b"")
        if isinstance(payload, str):
            said = bytes(request.document["payload"]).decode()
            nonce = said.rsplit("r=", 1)[-1].split(",")[0]
            payload = payload.replace("{nonce}", nonce).encode()
        reply = {
            "ok": 1,
            "done": done,
            "conversationId": conversation,
            **fields,
            "payload": payload,
        }
        return {name: value for name, value in reply.items() if value is not None}

    return answer


LENGTHS = (MIN_INT32, -1, 0, 15, 16, 20, 25, 48_000_001, 48_016_385, MAX_INT32)
FRAMES = Group(
    {
        **{f"length {length}": lying(length=length) for length in LENGTHS},
        "a reply to another request": lying(to=1),
        "a reply to nothing": lying(to=0),
        **{f"opcode {n}": lying(opcode=n) for n in (-1, 2, OP_REPLY, OP_COMPRESSED, 9999)},
        "a query back": echoed,
        "compressed unasked": lambda request: request.message(
            struct.pack("<iiB", OP_MSG, 40, 2) + b"x\x9c" + b"\0" * 40, opcode=OP_COMPRESSED
        ),
        "flag moreToCome": lying(flags=2),
        "flag checksumPresent": lambda request: request.message(
            struct.pack("<IB", 1, 0) + bson.encode(request.ordinary()) + b"\0\0\0\0"
        ),
        "flag checksumPresent and none": lying(flags=1),
        **{f"flag bit {n}": lying(flags=1 << n) for n in (2, 15, 16, 31)},
        **{f"section kind {n}": sections(n) for n in (1, 7)},
        "two bodies": sections(0, 0),
        "no section": lambda request: request.message(b"\0\0\0\0"),
        "no section and no flags": lambda request: request.message(b""),
        **{
            f"a document of length {length}": patched((21, struct.pack("<i", length)))
            for length in (MIN_INT32, -1, 0, 4, 5, MAX_INT32)
        },
        "a document too long by 1": lambda request: patched(
            (21, bytes([request.encoded()[21] + 1]))
        ),
        "a document too short by 1": lambda request: patched(
            (21, bytes([request.encoded()[21] - 1]))
        ),
    },
    ProtocolError,
    # The specification has a driver ignore what it does not know of the upper half.
    unlike={"flag bit 16": None, "flag bit 31": None},
    pymongo={
        # Its asynchronous protocol closes, and forgets why.
        **{f"length {length}": (ProtocolError, AutoReconnect, *RAW) for length in LENGTHS},
        "no section and no flags": (ProtocolError, AutoReconnect),
        **dict.fromkeys(("opcode 2012", "compressed unasked", "no section"), RAW),
        "flag bit 16": ProtocolError,
        "flag bit 31": ProtocolError,
        "flag moreToCome": None,  # and takes what comes next for the answer to its next question
    },
    closes=True,
)

CUTS = Group(
    {f"cut after {n}": cut(n) for n in (0, 1, 4, 15, 16, 20, 21, 30)}
    | {
        "cut in the middle": lambda request: cut(len(request.encoded()) // 2, request.encoded()),
        "cut before the last byte": cut(-1),
    },
    AutoReconnect,
    closes=True,
)

BSON = Group(
    {
        "no 0 at the end": patched((-1, b"\1")),
        "an unknown type": with_element(b"\x55x\0\0\0\0\0"),
        "a string too long": with_element(b"\x02x\0\xff\xff\xff\x7fab\0"),
        "a string of length -1": with_element(b"\x02x\0\xff\xff\xff\xff"),
        "a string without its 0": with_element(b"\x02x\0\x02\0\0\0ab"),
        "a name without its 0": lambda request: request.message(b"\0" * 5 + b"\x08\0\0\0\x10ab\0"),
        "a document within too long": with_element(b"\x03x\0\xff\0\0\0\0"),
        "a binary of length -1": with_element(b"\x05x\0\xff\xff\xff\xff\0"),
    },
    InvalidBSON,
    closes=DRIVER_NAME == "ferromongo",  # PyMongo keeps most of them
)

TRUE = ("1", 2.0, 0.5, -1, True, Int64(1), Decimal128("1"), b"1", float("nan"))
FALSE = ("", [], {}, 0, False)
ERRMSGS = (5, {}, [], b"x", "")
CODES = (0, -1, 1.0, 10107.0, 2**40, 1e300, MAX_INT32, "x", {}, Int64(11000))
TIMES = ("$clusterTime", "operationTime", "recoveryToken")
REPLIES = Group(
    {
        "an empty document": lambda request: {},
        "no ok": changed(ok=None),
        "ok null": lambda request: {**request.ordinary(), "ok": None},
        **{f"ok {value!r}": changed(ok=value) for value in TRUE + FALSE},
        **{f"errmsg {value!r}": changed(ok=0, code=1, errmsg=value) for value in ERRMSGS},
        "errmsg null": lambda request: {"ok": 0, "code": 1, "errmsg": None},
        "no errmsg": lambda request: {"ok": 0, "code": 1},
        "not ok and nothing else": lambda request: {"ok": 0},
        **{f"code {value!r}": changed(ok=0, errmsg="no", code=value) for value in CODES},
        "code null": lambda request: {"ok": 0, "errmsg": "no", "code": None},
        "labels that are none": changed(ok=0, errmsg="no", code=1, errorLabels=5),
        "labels of no type": changed(ok=0, errmsg="no", code=1, errorLabels=[1, {}, None]),
        **{
            f"{name} {value!r}": lambda request, name=name, value=value: {
                **request.ordinary(), name: value
            }
            for name in TIMES
            for value in (5, {}, None)
        },
    },
    OperationFailure,
    unlike={
        **{f"ok {value!r}": None for value in TRUE},
        **{
            f"{name} {value!r}": None
            for name in TIMES
            for value in (5, {}, None)
        },
        "code 10107.0": NotPrimaryError,
        "code Int64(11000)": DuplicateKeyError,
    },
    pymongo={
        **dict.fromkeys((
            "ok ''", "ok []", "ok {}", "ok 0", "ok False", "ok null", "no errmsg",
            "not ok and nothing else", "code {}", "labels that are none",
            "labels of no type"), RAW),
        **{f"{name} {value!r}": (*RAW, type(None)) for name in TIMES for value in (5, {})},
    },
)  # fmt: skip

WRITES = Group(
    {
        **{f"write concern error {value!r}": changed(writeConcernError=value)
           for value in (5, {}, {"code": "x", "errmsg": 5}, {"errInfo": 5})},
        **{f"write errors {value!r}": changed(writeErrors=value)
           for value in (5, [5], [{}], [{"index": "x"}], [{"index": -1}], [{"index": 10**9}])},
        "n of no type": changed(n="x"),
    },
    ProtocolError,
    unlike={**{f"write errors [{value!r}]": (ProtocolError, WriteError)
               for value in ({}, {"index": "x"}, {"index": -1}, {"index": 10**9})},
            "n of no type": (ProtocolError, type(None)),  # an insert counts
            "write concern error {}": None,
            "write concern error {'code': 'x', 'errmsg': 5}": WriteConcernError},
    pymongo={
        **{f"write concern error {value!r}": RAW for value in (5, {"errInfo": 5})},
        **{f"write errors {value!r}": RAW for value in (5, [5])},
    },
)  # fmt: skip

BATCHES = (5, "x", {}, {"0": {}}, [5], ["x"], [None], [[]])
CURSORS = Group(
    {
        "no cursor": changed(cursor=None),
        **{f"cursor {value!r}": changed(cursor=value) for value in (5, "x", [], {})},
        "no id": cursor(id=None),
        **{f"id {value!r}": cursor(id=value) for value in (0, 0.0, Int64(0), 0.5, "7", {})},
        "no batch": cursor(batch=None),
        **{f"batch {value!r}": cursor(batch=value) for value in BATCHES},
        "no ns": cursor(ns=None),
        **{f"ns {value!r}": cursor(ns=value) for value in ("", "nodot", ".", 5)},
    },
    ProtocolError,
    unlike={
        **{f"id {value!r}": None for value in (0, 0.0, Int64(0))},
        # It only matters if there is more to ask for.
        "no ns": (ProtocolError, type(None)),
        **{f"ns {value!r}": (ProtocolError, type(None)) for value in ("", "nodot", 5)},
        "ns '.'": None,
    },
    pymongo={
        **dict.fromkeys(("no cursor", "no id", "no batch", "id '7'"), (*RAW, OperationFailure)),
        **{f"cursor {value!r}": RAW for value in (5, "x", [], {})},
        **{f"batch {value!r}": (*RAW, type(None)) for value in BATCHES},
        "id {}": None,
        "id 0.5": (*RAW, OperationFailure, type(None)),
        **{f"ns {value!r}": (*RAW, type(None)) for value in ("", "nodot", 5)},
    },
)

FIELDS = {
    "hosts": ("x", 5, {}, [5, None], ["a:nine"], ["a:99999"], [[]]),
    "passives": (5,), "arbiters": ({},), "primary": (5, "a:nine", ""), "me": (5, "other:1"),
    "setVersion": ("x", 2.5, -1), "electionId": (5, "x"), "tags": (5, {"dc": 5}), "msg": (5,),
    "secondary": ("x",), "minWireVersion": ("x", MIN_INT32), "maxWireVersion": (MAX_INT32, 2**40),
    **dict.fromkeys(("maxBsonObjectSize", "maxMessageSizeBytes", "maxWriteBatchSize"),
                    ("x", 0, -1, MIN_INT32, MAX_INT32, 2**62, 1)),
    "logicalSessionTimeoutMinutes": ("x", -1, 0, 2**62), "serviceId": (5, "x"),
    "topologyVersion": (5, {}, {"processId": 5, "counter": "x"}),
    "compression": (5, [5], "zlib"), "saslSupportedMechs": (5, [5]),
    "speculativeAuthenticate": (5, {}), "lastWrite": (5, {"lastWriteDate": "x"}),
    "helloOk": ("x",), "$clusterTime": (5, {}), "connectionId": ("x",), "ok": (2.0,),
}  # fmt: skip
HELLOS = Group(
    {f"{name} {value!r}": changed(**{name: value}) for name, values in FIELDS.items()
     for value in values}
    | {"minWireVersion 99": changed(minWireVersion=99),
       "maxWireVersion -1": changed(maxWireVersion=-1),
       "not ok": changed(ok=0), "no ok": changed(ok=None), "an empty document": lambda request: {}},
    None,
    unlike={
        **dict.fromkeys(("minWireVersion 99", "maxWireVersion -1"), ConfigurationError),
        **dict.fromkeys(
            ("not ok", "no ok", "an empty document", "passives 5", "arbiters {}", "primary 5",
             "primary 'a:nine'", "me 5", *(f"hosts {value!r}" for value in FIELDS["hosts"])),
            ServerSelectionTimeoutError),
    },
)  # fmt: skip


PAYLOADS = (
    5, b"", "nonsense", b"\xff\xfe\0", "r=,s=,i=", ",,,", "=", "r", "e=other-error",
    "r=foreign,s=QUJD,i=4096", "r={nonce}x,s=!!,i=4096", "r={nonce}x,i=4096", "s=QUJD,i=4096",
    "r={nonce}x,s=QUJD", "r={nonce}x,s=QUJD,i=1", "r={nonce}x,s=QUJD,i=-5", "r={nonce}x,s=QUJD,i=x",
    "r={nonce}x,s=QUJD,i=99999999999999999999", {}, ["x"],
    # This one would keep PyMongo busy for half an hour.
    *(() if DRIVER_NAME == "pymongo" else ("r={nonce}x,s=QUJD,i=2000000000",)),
)  # fmt: skip
CONVERSATIONS = Group({
    "no payload": sasl(payload=None),
    "no conversation": sasl(conversation=None, payload="r={nonce}x,s=QUJD,i=4096"),
    **{f"payload {value!r}": sasl(payload=value) for value in PAYLOADS},
    "done at once": sasl(done=True, payload="r={nonce}x,s=QUJD,i=4096"),
    "done at once with nothing": sasl(done=True, payload=b""),
    "done with a false signature": sasl(done=True, payload="v=QUJD"),
    "not ok": lambda request: {"ok": 0, "code": 18, "errmsg": "no"},
    "the first message for ever": sasl(payload="r={nonce}x,s=QUJD,i=4096"),
}, OperationFailure, pymongo=dict.fromkeys(
    ["no payload", "no conversation", *(f"payload {value!r}" for value in PAYLOADS),
     "done at once", "done at once with nothing", "done with a false signature",
     "the first message for ever"],
    (OperationFailure, *RAW)))  # fmt: skip


ENDINGS = Group(
    {"never done": lambda request: request.ordinary() | {"done": False}}, OperationFailure
)
BYTES = (FRAMES, CUTS, BSON)
# All commands read their replies in the same way: a part of the cases is enough for most.
SOME = [replace(group, answers=dict(list(group.answers.items())[::3])) for group in BYTES]
GROUPS = {
    "find": (*BYTES, REPLIES, CURSORS), "insert": (*SOME, REPLIES, WRITES), "update": (WRITES,),
    "getMore": (*SOME, CURSORS), "commitTransaction": (*SOME, REPLIES),
    "saslStart": (*BYTES, CONVERSATIONS), "saslContinue": (*SOME, CONVERSATIONS, ENDINGS),
    # PyMongo's monitors die of some of it, in threads of their own.
    "hello": (*([HELLOS] if DRIVER_NAME == "ferromongo" else []), *(Group(
        group.answers,
        # The monitors overlook some of it; then it is the operation that finds out.
        (ServerSelectionTimeoutError, ProtocolError),
        unlike={name: None for name, raised in group.unlike.items() if raised is None},
        pymongo=dict.fromkeys(
            ("flag bit 16", "flag bit 31", "flag moreToCome"),
            (ServerSelectionTimeoutError, type(None)),
        ),
    ) for group in BYTES)),
}  # fmt: skip
