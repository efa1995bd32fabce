"""Where the codec differs from `bson` on purpose: the whole list, with reasons and examples.

An example that differs no more fails: it has to leave the list. Where PyMongo would read foreign
memory, only ours is run.
"""

from __future__ import annotations

import dataclasses
import datetime
import sys
from collections.abc import Callable
from typing import Any

import bson
import pytest
from tests.parity.beside_bson import decode, encode, outcome
from tests.parity.sample_bytes import nested
from tests.parity.sample_values import AnyMapping

NOT_RUN = "not run: it reads foreign memory"
WRITTEN = "ok"


@dataclasses.dataclass
class Difference:
    reason: str
    make: Callable[[], Any]
    ours: Any
    theirs: Any


class WithMarker:
    def __init__(self, marker: int, **attributes: Any) -> None:
        self._type_marker = marker
        self.__dict__.update(attributes)


class WideSubtype(bson.Binary):
    @property
    def subtype(self) -> int:
        return 261


class Interrupted(AnyMapping):
    def __getitem__(self, key: str) -> Any:
        if key == "_id":
            raise KeyError(key)
        raise KeyboardInterrupt


class OddDate(datetime.datetime):
    def utcoffset(self) -> datetime.timedelta:
        return datetime.timedelta(0)

    def __sub__(self, other: Any) -> Any:
        return "no date"


def shrinking() -> Any:
    class Zone(datetime.tzinfo):
        def utcoffset(self, moment: Any) -> Any:
            items.clear()

    items = [datetime.datetime(2024, 1, 1, tzinfo=Zone()), "gone"]
    return {"items": items}


WRITING = {
    "an ObjectId of other than 12 bytes": Difference(
        "PyMongo takes 12 bytes, of a shorter value with what lies behind it in memory",
        lambda: {"v": WithMarker(7, binary=b"short")},
        bson.errors.InvalidDocument,
        NOT_RUN,
    ),
    "a Decimal128 of other than 16 bytes": Difference(
        "the same with 16 bytes",
        lambda: {"v": WithMarker(19, bid=b"short")},
        bson.errors.InvalidDocument,
        NOT_RUN,
    ),
    "a datetime whose difference with its offset is none": Difference(
        "PyMongo reads the result as a datetime whatever it is",
        lambda: {"v": OddDate(2024, 1, 1)},
        TypeError,
        NOT_RUN,
    ),
    "a list that gets shorter while it is encoded": Difference(
        "PyMongo goes on to the length that the list had",
        shrinking,
        WRITTEN,
        NOT_RUN,
    ),
    "a binary subtype that is no byte": Difference(
        "PyMongo writes its lowest byte, another subtype",
        lambda: {"v": WideSubtype(b"x", 5)},
        ValueError,
        WRITTEN,
    ),
    "a part of a Timestamp beyond 32 bits": Difference(
        "PyMongo writes its lowest 32 bits, another time",
        lambda: {"v": WithMarker(17, inc=1, time=2**32)},
        OverflowError,
        WRITTEN,
    ),
    "a negative type marker": Difference(
        "PyMongo takes its own -1 for an error and has no exception to show: SystemError",
        lambda: {"v": WithMarker(-1)},
        bson.errors.InvalidDocument,
        SystemError,
    ),
    "Ctrl-C while a mapping looks up a value": Difference(
        "PyMongo turns whatever a look-up raises into a KeyError; an interrupt must come through",
        lambda: Interrupted(a=1),
        KeyboardInterrupt,
        KeyError,
    ),
}


@pytest.mark.parametrize("difference", WRITING.values(), ids=WRITING)
def test_writing(difference: Difference) -> None:
    assert told(encode, difference.make()) == difference.ours
    if difference.theirs is not NOT_RUN:
        assert told(bson.encode, difference.make()) == difference.theirs


def told(encode: Any, document: Any) -> Any:
    try:
        encode(document)
    except BaseException as error:
        return type(error)
    return WRITTEN


def test_more_than_a_thousand_levels() -> None:
    """PyMongo goes as deep as `sys.setrecursionlimit` lets it, with a high limit down to the end of
    the stack. Ours stops at 1,000 levels (MongoDB stores 100), which fit on any thread's stack; and
    it counts containers, where PyMongo counts values too. Since Python 3.12 C code has a limit of
    its own, which nobody can set."""
    document: Any = 1
    for _ in range(1500):
        document = {"d": document}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(5000)
    try:
        assert outcome(encode, document) == ("raised", RecursionError)
        assert outcome(decode, nested(1500, False)) == ("raised", bson.errors.InvalidBSON)
        if sys.version_info < (3, 12):
            assert len(bson.encode(document)) > 1500
            assert bson.decode(nested(1500, False))
    finally:
        sys.setrecursionlimit(limit)
