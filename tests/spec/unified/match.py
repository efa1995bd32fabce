"""Does an actual value match an expected one? The format's rules, special operators included.

Only root documents may have keys that were not expected.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.json_util import JSONOptions, loads
from bson.raw_bson import RawBSONDocument

EXTENDED_JSON = JSONOptions(tz_aware=False)


class Mismatch(AssertionError):
    """What was found is not what the file expects."""


class Unsupported(Exception):
    """A file asks for something that this runner, PyMongo or ferromongo does not have."""


class Matcher:
    def __init__(self, entities: Any) -> None:
        self._entities = entities

    def match(self, expected: Any, actual: Any, *, root: bool = True, where: str = "it") -> None:
        if (operator := special(expected)) is not None:
            self._special(operator, expected[operator], actual, root, where)
        elif isinstance(expected, Mapping):
            self._document(expected, actual, root, where)
        elif isinstance(expected, list):
            check(isinstance(actual, list), where, f"{actual!r} is no list")
            check(len(expected) == len(actual), where, f"{actual!r} has not {len(expected)} items")
            for index, item in enumerate(expected):
                self.match(item, actual[index], root=root, where=f"{where}[{index}]")
        else:
            check(equal(expected, actual), where, f"{actual!r} is not {expected!r}")

    def _document(self, expected: Any, actual: Any, root: bool, where: str) -> None:
        check(isinstance(actual, Mapping), where, f"{actual!r} is no document")
        for key, value in expected.items():
            place = f"{where}.{key}"
            operator = special(value)
            if key in actual:
                self.match(value, actual[key], root=False, where=place)
            elif operator == "$$exists":
                check(not value[operator], place, "is missing")
            elif operator == "$$matchesEntity" or operator != "$$unsetOrMatches":
                raise Mismatch(f"{place} is missing in {actual!r}")
        if not root:
            more = set(actual) - set(expected)
            check(not more, where, f"there is more than expected: {more}")

    def _special(self, operator: str, value: Any, actual: Any, root: bool, where: str) -> None:
        match operator:
            case "$$exists":
                check(value, where, f"there is one: {actual!r}")
            case "$$type":
                kinds = value if isinstance(value, list) else [value]
                fits = any(has_type(kind, actual) for kind in kinds)
                check(fits, where, f"{actual!r} is no {value}")
            case "$$matchesEntity":
                self.match(self._entities[value], actual, root=root, where=where)
            case "$$matchesHexBytes":
                check(bytes.fromhex(value) == actual, where, f"{actual!r} is not {value}")
            case "$$unsetOrMatches":
                if actual is not None:
                    self.match(value, actual, root=root, where=where)
            case "$$sessionLsid":
                self.match(self._entities.lsid(value), actual, root=False, where=where)
            case "$$lte":
                check(is_number(actual) and actual <= value, where, f"{actual!r} is over {value}")
            case "$$matchAsDocument" | "$$matchAsRoot":
                if isinstance(actual, str):
                    actual = loads(actual, json_options=EXTENDED_JSON)
                self.match(value, actual, root=operator == "$$matchAsRoot", where=where)
            case _:
                raise Unsupported(f"the matching operator {operator}")


def special(expected: Any) -> str | None:
    """The operator's name if this is a special operator."""
    if isinstance(expected, Mapping) and len(expected) == 1:
        name = next(iter(expected))
        return name if name.startswith("$$") else None
    return None


def check(holds: Any, where: str, otherwise: str) -> None:
    if not holds:
        raise Mismatch(f"{where}: {otherwise}")


def equal(expected: Any, actual: Any) -> bool:
    if is_number(expected):
        return is_number(actual) and bool(expected == actual)
    if isinstance(expected, Binary | bytes):
        subtypes = [getattr(value, "subtype", 0) for value in (expected, actual)]
        return bool(expected == actual) and subtypes[0] == subtypes[1]
    return type(expected) is type(actual) and bool(expected == actual)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def has_type(kind: str | int, actual: Any) -> bool:
    if kind == "number":
        return is_number(actual) or isinstance(actual, Decimal128)
    if kind not in TYPES:
        raise Unsupported(f"the BSON type {kind!r}")
    if isinstance(actual, bool):
        return kind in ("bool", 8)
    # The driver gives a 32-bit number back as a plain int, and takes one for either width.
    return isinstance(actual, TYPES[kind])


_BY_NAME: dict[tuple[int, str], Any] = {
    (1, "double"): float,
    (2, "string"): str,
    (3, "object"): (Mapping, RawBSONDocument),
    (4, "array"): list,
    (5, "binData"): (bytes, Binary),
    (6, "undefined"): type(None),
    (7, "objectId"): ObjectId,
    (8, "bool"): bool,
    (9, "date"): datetime,
    (10, "null"): type(None),
    (11, "regex"): (Regex, re.Pattern),
    (12, "dbPointer"): DBRef,
    (13, "javascript"): Code,
    (15, "javascriptWithScope"): Code,
    (16, "int"): int,
    (17, "timestamp"): Timestamp,
    (18, "long"): (Int64, int),
    (19, "decimal"): Decimal128,
    (-1, "minKey"): MinKey,
    (127, "maxKey"): MaxKey,
}
TYPES: dict[str | int, Any] = {key: kind for pair, kind in _BY_NAME.items() for key in pair}
