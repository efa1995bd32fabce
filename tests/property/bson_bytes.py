"""Makes BSON bytes, from correct to hopeless: damaged documents, and documents put together from
plausible pieces whose lengths lie now and then."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from tests.property.choices import Choices


class ByteMaker(Choices):
    def damaged(self, document: bytes) -> bytes:
        """A correct document after one to four accidents."""
        data = bytearray(document)
        for _ in range(1 + self.below(4)):
            self.pick(ACCIDENTS)(self, data, self.number(2) % (len(data) + 1))
        return close(bytes(data)) if self.below(4) else bytes(data)

    def change(self, data: bytearray, place: int) -> None:
        data[place : place + 1] = self.bytes(1)

    def swap_type(self, data: bytearray, place: int) -> None:
        data[place : place + 1] = bytes([self.pick(TYPES)])

    def insert(self, data: bytearray, place: int) -> None:
        data[place:place] = self.bytes(1 + self.below(5))

    def remove(self, data: bytearray, place: int) -> None:
        del data[place : place + 1 + self.below(8)]

    def repeat(self, data: bytearray, place: int) -> None:
        data[place:place] = data[max(place - self.below(40), 0) : place]

    def relength(self, data: bytearray, place: int) -> None:
        """An int32 that is somewhat longer or shorter: most lengths are."""
        if place + 4 <= len(data):
            (length,) = struct.unpack_from("<i", data, place)
            wrong = (length + self.below(17) - 8) & 0xFFFFFFFF
            struct.pack_into("<I", data, place, wrong)

    def soup(self, depth: int = 0) -> bytes:
        """A document of any elements, each of which may be wrong in itself."""
        return self.framed(b"".join(self.several(4, lambda: self.element(depth))))

    def array(self, kind: bytes, values: Iterable[bytes]) -> bytes:
        """A document that holds an array of one type."""
        elements = b"".join(kind + b"%d\0" % n + value for n, value in enumerate(values))
        return close(b"1234" + b"\x04v\0" + close(b"1234" + elements + b"\0") + b"\0")

    def framed(self, elements: bytes) -> bytes:
        end = self.pick((b"", b"\1", b"\0\0")) if self.rarely(32) else b"\0"
        return self.length(len(elements) + 4 + len(end)) + elements + end

    def length(self, true: int) -> bytes:
        if self.rarely(24):
            true = self.pick((true - 1, true + 1, true + self.below(64), 0, -1, 2**31 - 1, 5, 4))
        return struct.pack("<i", true)

    def element(self, depth: int) -> bytes:
        kind = self.pick(TYPES)
        name = self.pick(NAMES) + (b"" if self.rarely(64) else b"\0")
        return bytes([kind]) + name + self.content(kind, depth)

    def content(self, kind: int, depth: int) -> bytes:
        if self.rarely(64):
            return self.bytes(self.below(24))
        match kind:
            case 0x02 | 0x0D | 0x0E:
                return self.string()
            case 0x03 | 0x04:
                return self.soup(depth + 1) if depth < 6 else b"\5\0\0\0\0"
            case 0x05:
                return self.binary()
            case 0x08:
                return self.pick((b"\0", b"\1", b"\1", b"\0", b"\0", b"\2"))
            case 0x09:
                return struct.pack("<q", self.milliseconds())
            case 0x0B:
                flags = self.pick((b"", b"i", b"imsux", b"z", b"\xff"))
                return self.pick(TEXTS) + b"\0" + flags + b"\0"
            case 0x0C:
                return self.string() + self.bytes(12)
            case 0x0F:
                inside = self.string() + self.soup(depth + 1)
                return self.length(len(inside) + 4) + inside
            case _:
                return self.bytes(SIZES.get(kind, 0))

    def string(self) -> bytes:
        text = self.pick(TEXTS) + (b"" if self.rarely(64) else b"\0")
        return self.length(len(text)) + text

    def binary(self) -> bytes:
        subtype = self.pick((0, 0, 1, 2, 2, 3, 4, 3, 4, 5, 9, 128, 255))
        data = self.bytes(self.pick((16, 16, 0, 3, 5)))
        if subtype == 2:
            data = self.length(len(data)) + data
        return self.length(len(data)) + bytes([subtype]) + data

    def milliseconds(self) -> int:
        if self.below(2):
            return self.number(8, signed=True) >> self.below(64)
        return self.pick(EDGES) + self.number(4, signed=True) % (2 * DAY) - DAY


def close(data: bytes) -> bytes:
    """The right length and an end, so that what is inside gets read."""
    body = data[4:-1]
    return struct.pack("<i", len(body) + 5) + body + b"\0"


TYPES = (
    *(0x10, 0x02, 0x03, 0x04, 0x01, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E),
    *(0x0F, 0x11, 0x12, 0x13, 0x7F, 0xFF, 0x03, 0x04, 0x02, 0x05, 0x09, 0x00, 0x14, 0x80),
)
DAY = 86_400_000
# The first and the last date of Python's calendar, 1970, and the ends of the 64 bits.
EDGES = (-62_135_596_800_000, 253_402_300_799_999, 0, DAY - 2**63, 2**63 - DAY - 1)
SIZES = {0x10: 4, 0x01: 8, 0x07: 12, 0x11: 8, 0x12: 8, 0x13: 16}
NAMES = (
    *(b"a", b"b", b"c", b"", b"0", b"_id", b"$ref", b"$id", b"$db", b"$ref", b"$id", b"\xc3\xa9"),
    *(b"$i\xffd", b"\xff", b"k" * 70, b"eightlet", b"sixteen-letters."),
)
TEXTS = (
    *(b"", b"a", b"text", b"\xc3\xa9", b"\xe6\x97\xa5", b"\xf0\x9f\x98\x80", b"a\0b"),
    *(b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"a\xf0\x9f", b"long text " * 9),
)
ACCIDENTS = (
    ByteMaker.change,
    ByteMaker.change,
    ByteMaker.relength,
    ByteMaker.relength,
    ByteMaker.swap_type,
    ByteMaker.insert,
    ByteMaker.remove,
    ByteMaker.repeat,
)
