"""Replace or change the classes of bson before the codec first looks at them.

The environment says which (REPLACED). Prints how encoding and decoding then end.
"""

import gc
import json
import os
from typing import Any

import bson.binary
import bson.code
import bson.int64
import bson.objectid

PLAIN = bson.encode(
    {"o": bson.ObjectId(), "l": bson.int64.Int64(2**40), "b": bson.binary.Binary(b"x", 5)}
)


class Wide:
    __slots__ = tuple(f"slot{number}" for number in range(200))


class Own(bytes):
    pass


def slot_of_another_class() -> None:
    """A slot far behind the end of an ObjectId."""
    slot: Any = Wide.slot150  # type: ignore[attr-defined]
    bson.objectid.ObjectId._ObjectId__id = slot  # type: ignore[attr-defined]


def property_for_a_slot() -> None:
    bson.objectid.ObjectId._ObjectId__id = property(lambda _: b"p" * 12)  # type: ignore[attr-defined]


def object_id_of_a_built_in() -> None:
    class ObjectId(bytearray):
        __slots__ = ("_ObjectId__id",)

    bson.objectid.ObjectId = ObjectId  # type: ignore[assignment, misc]


def int64_of_nothing() -> None:
    class Int64:
        _type_marker = 18

    bson.int64.Int64 = Int64  # type: ignore[assignment, misc]


def int64_with_a_dict() -> None:
    class Int64(int):
        _type_marker = 18

    bson.int64.Int64 = Int64  # type: ignore[assignment, misc]


def binary_of_text() -> None:
    class Binary(str):
        _type_marker = 5

    bson.binary.Binary = Binary  # type: ignore[assignment, misc]


def code_of_a_list() -> None:
    class Code(list[Any]):
        _type_marker = 13

    bson.code.Code = Code  # type: ignore[assignment, misc]


WAYS = {
    way.__name__: way
    for way in (
        slot_of_another_class,
        property_for_a_slot,
        object_id_of_a_built_in,
        int64_of_nothing,
        int64_with_a_dict,
        binary_of_text,
        code_of_a_list,
    )
}


def main() -> None:
    given = bson.objectid.ObjectId("0123456789ab0123456789ab")
    WAYS[os.environ["REPLACED"]]()
    from ferromongo.bson import decode, encode

    results = []
    for work in (lambda: encode({"o": given, "n": 1}), lambda: repr(list(decode(PLAIN)))):
        try:
            results.append(f"done: {type(work()).__name__}")
        except Exception as error:
            results.append(type(error).__name__)
        gc.collect()
    print(json.dumps(results))


if __name__ == "__main__":
    main()
