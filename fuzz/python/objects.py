"""Documents to encode, made of a fuzzer's bytes: all that a user may hand over, sound or not."""

import collections
import datetime
import decimal
import enum
import re
import struct
import uuid

import bson
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from peer import INDIA, Fields, Wrapped


class Text(str):
    pass


class Number(int):
    pass


class Blob(bytes):
    pass


class Row(list):
    pass


class Own(dict):
    pass


class MyObjectId(bson.ObjectId):
    pass


class Colour(enum.IntEnum):
    RED = 1


class Eager:
    """Answers any attribute."""

    def __getattr__(self, name):
        return Eager()

    def __repr__(self):
        return "Eager()"


class Marked:
    """Says to be of a type, and is not."""

    def __init__(self, marker):
        self._type_marker = marker


Point = collections.namedtuple("Point", "x y")
NAMES = ["_id", "$ref", "$id", "$db", "", "0", "a.b", "nul\0", "a name of more than sixteen bytes"]
UNUSUAL = [
    object(),
    Eager(),
    Colour.RED,
    decimal.Decimal("1.5"),
    datetime.date(2020, 1, 2),
    datetime.timedelta(seconds=3),
    frozenset({1}),
    range(3),
    bytearray(b"bytes"),
    memoryview(b"view"),
    1j,
    Ellipsis,
    int,
    2**64,
    -(2**63) - 1,
    bson.Int64(2**63),
    "lone \ud800",
    Text("lone \ud800"),
    re.compile("pattern", re.I | re.X),
    re.compile(b"bytes", re.S),
    re.compile("nul\0"),
    bson.Regex(b"\xff"),
    bson.MinKey(),
    bson.MaxKey(),
]


class Maker:
    """Takes bytes off the input; behind its end there are zeros without end."""

    def __init__(self, data):
        self.data = data
        self.at = 0
        self.honest = True

    def take(self, count):
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken.ljust(count, b"\0")

    def choice(self, count):
        return self.take(1)[0] % count

    def unpack(self, layout):
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def document(self, depth=5):
        fields = [(self.name(), self.value(depth)) for _ in range(self.choice(6))]
        return self.mapping(fields)

    def mapping(self, fields):
        match self.choice(12):
            case 0:
                return SON(fields)
            case 1:
                return Own(fields)
            case 2:
                mapping = Fields()
                for name, value in fields:
                    mapping[name] = value
                return mapping
            case 3:
                return collections.OrderedDict(fields)
            case 4:
                try:
                    return RawBSONDocument(bson.encode(dict(fields)))
                except Exception:
                    return dict(fields)
            case _:
                return dict(fields)

    def name(self):
        match self.choice(24):
            case 0:
                return self.choice(256)
            case 1:
                return self.take(2)
            case 2:
                return None
            case 3:
                return (1,)
            case 4:
                return Text(self.text())
            case choice if choice < 5 + len(NAMES):
                return NAMES[choice - 5]
            case _:
                return self.text()

    def text(self):
        return self.take(self.choice(40)).decode("utf-8", "replace")

    def wide_text(self):
        units = self.take(2 * self.choice(40))
        return units.decode("utf-16-le", "replace" if self.choice(8) else "surrogatepass")

    def value(self, depth):
        kinds = self.KINDS if depth else self.KINDS[: self.LEAVES]
        return kinds[self.choice(len(kinds))](self, depth)

    def date(self):
        year, month, day, micro = (
            self.unpack("<H"),
            self.choice(12),
            self.choice(28),
            self.unpack("<I"),
        )
        zones = [None, datetime.UTC, bson.tz_util.utc, INDIA]
        return datetime.datetime(
            1 + year % 9999,
            1 + month,
            1 + day,
            self.choice(24),
            self.choice(60),
            self.choice(60),
            micro % 1_000_000,
            tzinfo=zones[self.choice(4)],
        )

    def marked(self):
        self.honest = False
        return Marked(self.choice(256))

    def array(self, depth):
        return [self.value(depth - 1) for _ in range(self.choice(14))]

    def regex(self):
        return bson.Regex(self.text(), self.choice(128))

    def extra(self, depth):
        return {self.text(): self.value(depth - 1) for _ in range(self.choice(3))}

    KINDS = [
        lambda self, _: None,
        lambda self, _: bool(self.choice(2)),
        lambda self, _: self.unpack("<i"),
        lambda self, _: self.unpack("<q"),
        lambda self, _: bson.Int64(self.unpack("<q")),
        lambda self, _: Number(self.unpack("<q")),
        lambda self, _: self.unpack("<d"),
        lambda self, _: self.text(),
        lambda self, _: self.wide_text(),
        lambda self, _: Text(self.text()),
        lambda self, _: self.take(self.choice(40)),
        lambda self, _: Blob(self.take(self.choice(40))),
        lambda self, _: Binary(self.take(self.choice(40)), self.choice(256)),
        lambda self, _: bson.ObjectId(self.take(12)),
        lambda self, _: MyObjectId(self.take(12)),
        lambda self, _: self.date(),
        lambda self, _: DatetimeMS(self.unpack("<q")),
        lambda self, _: uuid.UUID(bytes=self.take(16)),
        lambda self, _: bson.Timestamp(self.unpack("<I"), self.unpack("<I")),
        lambda self, _: bson.Decimal128.from_bid(self.take(16)),
        lambda self, _: self.regex(),
        lambda self, _: bson.Code(self.text()),
        lambda self, _: Wrapped(self.unpack("<b")),
        lambda self, _: self.marked(),
        lambda self, _: UNUSUAL[self.choice(len(UNUSUAL))],
        # From here on values hold values.
        lambda self, depth: self.document(depth - 1),
        lambda self, depth: self.array(depth),
        lambda self, depth: tuple(self.array(depth)),
        lambda self, depth: Row(self.array(depth)),
        lambda self, depth: Point(self.value(depth - 1), self.value(depth - 1)),
        lambda self, depth: bson.Code(self.text(), self.extra(depth)),
        lambda self, depth: bson.DBRef(
            self.text(), self.value(depth - 1), self.text() or None, self.extra(depth)
        ),
    ]
    LEAVES = 25


def document(data):
    """A document, and whether all in it are what they say they are."""
    maker = Maker(data)
    return maker.document(), maker.honest
