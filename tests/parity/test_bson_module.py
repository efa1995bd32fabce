"""`ferromongo.bson` beside `bson`: names, signatures, values, types and errors of its functions.
What the codec makes of every BSON type is the part of `test_codec_*.py`."""

from __future__ import annotations

import array
import collections
import copy
import ctypes
import datetime
import functools
import gc
import inspect
import io
import itertools
import mmap
import pickle
import struct
import sys
import tracemalloc
import types
import typing
from typing import Any

import bson
import numpy
import pytest
from bson.codec_options import CodecOptions, TypeRegistry
from bson.raw_bson import DEFAULT_RAW_BSON_OPTIONS, RawBSONDocument
from hypothesis import example, given
from hypothesis import strategies as st
from tests.parity.sample_options import Money, MoneyCodec
from tests.parity.sample_values import shown

import ferromongo.bson

FUNCTIONS = ["encode", "decode", "decode_all", "decode_iter", "decode_file_iter", "is_valid"]
MODULES = {"theirs": bson, "ours": ferromongo.bson}

DOCUMENT = {
    "_id": bson.ObjectId("0123456789abcdef01234567"),
    "text": "déjà vu",
    "long": bson.Int64(5),
    "when": datetime.datetime(2024, 2, 29, 1, 2, 3, 4000),
    "inside": {"list": [1, None, {"pi": 3.5}]},
    "reference": bson.DBRef("orders", 7),
}
ONE = bson.encode(DOCUMENT)
LONG = bson.encode({"text": "x" * 5000})
MANY = ONE + bson.encode({}) + LONG + bson.encode({"n": 1})

OPTIONS: dict[str, CodecOptions[Any]] = {
    "default": CodecOptions(),
    "SON": CodecOptions(document_class=bson.SON),
    "aware": CodecOptions(tz_aware=True),
    "raw": DEFAULT_RAW_BSON_OPTIONS,
}


def shape(value: Any) -> Any:
    """A value with its type, that of its parts, and of a raw document how it keeps its bytes."""
    if isinstance(value, RawBSONDocument):
        return type(value), type(value.raw), bytes(value.raw)
    if isinstance(value, collections.abc.Mapping):
        return type(value), [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return list, [shape(item) for item in value]
    return type(value), value


def outcome(call: Any) -> Any:
    """What a call answers, or the type it raises; of an iterator all it yields before that."""
    seen = []
    try:
        result = call()
        if not isinstance(result, collections.abc.Iterator):
            return shape(result)
        for document in result:
            seen.append(shape(document))
    except Exception as error:
        return seen, type(error)
    return seen


def both(call: Any) -> Any:
    ours, theirs = outcome(lambda: call(ferromongo.bson)), outcome(lambda: call(bson))
    assert ours == theirs
    return ours


def every_way(data: Any, options: Any) -> dict[str, Any]:
    """The outcome of each function that reads `data`, the same for both modules."""
    read = {
        "decode": both(lambda module: module.decode(data, options)),
        "decode_all": both(lambda module: module.decode_all(data, options)),
        "decode_iter": both(lambda module: module.decode_iter(data, options)),
        "is_valid": both(lambda module: module.is_valid(data)),
    }
    if isinstance(data, bytes):
        read["file"] = both(lambda module: module.decode_file_iter(io.BytesIO(data), options))
    return read


def test_every_name_of_bson_is_there() -> None:
    assert not set(bson.__all__) - set(ferromongo.bson.__all__)
    for name in ferromongo.bson.__all__:
        ours = getattr(ferromongo.bson, name)
        assert ours is not getattr(bson, name) if name in FUNCTIONS else ours is getattr(bson, name)
    submodules = {
        name
        for name, value in vars(bson).items()
        if isinstance(value, types.ModuleType)
        and value.__name__ == f"bson.{name}"
        and not name.startswith("_")
    }
    assert {"raw_bson", "json_util", "codec_options", "errors", "objectid"} <= submodules
    assert submodules <= set(ferromongo.bson.__all__)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures(name: str) -> None:
    ours, theirs = getattr(ferromongo.bson, name), getattr(bson, name)
    without_annotations = [
        [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]
        for function in (ours, theirs)
    ]
    assert without_annotations[0] == without_annotations[1]
    assert inspect.isgeneratorfunction(ours) == inspect.isgeneratorfunction(theirs)
    assert ours.__module__ == "ferromongo.bson"
    hints = typing.get_type_hints(ours)
    assert set(hints) == {*inspect.signature(theirs).parameters, "return"}
    assert len(typing.get_overloads(ours)) == len(typing.get_overloads(theirs))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_are_our_own(name: str) -> None:
    ours, theirs = getattr(ferromongo.bson, name).__doc__, getattr(bson, name).__doc__
    assert f"bson.{name}" in ours
    assert "Raises " in ours
    described = inspect.signature(getattr(ferromongo.bson, name)).parameters
    assert all(f":param {name}:" in ours or f"`{name}`" in ours for name in described)
    sentences = {line.strip() for line in theirs.splitlines() if len(line.split()) > 4}
    assert not sentences & {line.strip() for line in ours.splitlines()}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("data", [b"", ONE, LONG, MANY], ids=["none", "one", "long", "many"])
def test_every_way_to_read(data: bytes, options: CodecOptions[Any]) -> None:
    every_way(data, options)
    every_way(data, None)


BUFFERS: dict[str, Any] = {
    "bytearray": bytearray,
    "memoryview": memoryview,
    "memoryview of a bytearray": lambda data: memoryview(bytearray(data)),
    "part of a memoryview": lambda data: memoryview(b"xx" + data + b"x")[2:-1],
    "signed": lambda data: memoryview(data).cast("b"),
    "characters": lambda data: memoryview(data).cast("c"),
    "with gaps": lambda data: memoryview(bytes(byte for byte in data for _ in "ab"))[::2],
    "backwards": lambda data: memoryview(data[::-1])[::-1],
    "array": lambda data: array.array("B", data),
    "signed array": lambda data: array.array("b", data),
    "array of int32": lambda data: array.array("i", data + b"\0" * (-len(data) % 4)),
    "ctypes": lambda data: (ctypes.c_char * len(data)).from_buffer_copy(data),
    "bytes subclass": bson.BSON,
    "str": lambda data: data.decode("latin-1"),
    "list": list,
    "None": lambda data: None,
    "int": len,
    "BytesIO": io.BytesIO,
    "two rows": lambda data: memoryview(data * 2).cast("c", (2, len(data))) if data else b"",
    "numpy": lambda data: numpy.frombuffer(data, "u1"),
    "numpy, two rows": lambda data: numpy.frombuffer(data * 2, "u1").reshape(2, -1),
    "numpy, with gaps": lambda data: numpy.repeat(numpy.frombuffer(data, "u1"), 2)[::2],
    "numpy int32": lambda data: numpy.frombuffer(data + b"\0" * (-len(data) % 4), "i4"),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("buffer", BUFFERS.values(), ids=BUFFERS)
@pytest.mark.parametrize("data", [b"", ONE, MANY], ids=["none", "one", "many"])
def test_any_kind_of_buffer(data: bytes, buffer: Any, options: CodecOptions[Any]) -> None:
    every_way(buffer(data), options)


def test_mapped_memory(tmp_path: Any) -> None:
    path = tmp_path / "dump.bson"
    path.write_bytes(MANY)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        for options in OPTIONS.values():
            assert len(every_way(mapped, options)["decode_all"][1]) == 4

        def from_start(module: Any) -> Any:
            mapped.seek(0)
            return module.decode_file_iter(mapped)

        assert len(both(from_start)) == 4
    every_way(mapped, None)  # closed


def test_a_released_memoryview() -> None:
    view = memoryview(ONE)
    view.release()
    every_way(view, None)


@pytest.mark.parametrize(
    "tail", [b"\0", b"\0\0", b"\0\0\0", b"\5\0\0\0", b"\5\0\0\0\0\0", b"\0" * 9]
)
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_garbage_behind_the_documents(tail: bytes, options: CodecOptions[Any]) -> None:
    for data in (tail, ONE + tail, MANY + tail, memoryview(MANY + tail)):
        read = every_way(data, options)
        assert read["decode"] == ([], bson.errors.InvalidBSON)
        assert read["decode_all"] == ([], bson.errors.InvalidBSON)


@pytest.mark.parametrize("size", [-(2**31), -100, -5, -1, 0, 1, 4, 5, 6, 30, 2**20, 2**31 - 1])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_lengths_that_lie(size: int, options: CodecOptions[Any]) -> None:
    if size == 2**31 - 1 and sys.platform != "linux":
        pytest.skip("a read of two gigabytes costs nothing on Linux only")
    lie = struct.pack("<i", size)
    for before, after in itertools.product((b"", ONE, MANY), (b"", MANY)):
        every_way(before + lie + ONE[4:] + after, options)


def test_every_cut() -> None:
    data = ONE + bson.encode({"n": 1})
    for length in range(len(data)):
        every_way(data[:length], None)


@given(
    st.lists(st.integers(0, len(MANY) * 8 - 1), max_size=3), st.sampled_from([*OPTIONS.values()])
)
@example([], OPTIONS["raw"])
def test_flipped_bits(places: list[int], options: CodecOptions[Any]) -> None:
    data = bytearray(MANY)
    for place in places:
        data[place // 8] ^= 1 << place % 8
    every_way(bytes(data), options)


WRONG_OPTIONS = [0, "", {}, (), 5, "strict", {"tz_aware": True}, CodecOptions, (1,), object()]


@pytest.mark.parametrize("options", WRONG_OPTIONS, ids=shown)
@pytest.mark.parametrize("data", [b"", ONE], ids=["none", "one"])
def test_wrong_options(options: Any, data: bytes) -> None:
    for name in ("decode", "decode_all", "decode_iter"):
        both(lambda module, name=name: getattr(module, name)(data, options))
    assert both(lambda module: module.encode({}, False, options)) == ([], TypeError)
    # PyMongo lets a SystemError of its C extension through where it does not look itself.
    ours = outcome(lambda: ferromongo.bson.decode_file_iter(io.BytesIO(data), options))
    theirs = outcome(lambda: bson.decode_file_iter(io.BytesIO(data), options))
    assert ours == (([], TypeError) if theirs == ([], SystemError) else theirs)


@pytest.mark.parametrize("options", [None, CodecOptions(), bson.DEFAULT_CODEC_OPTIONS])
def test_options_for_encode(options: Any) -> None:
    both(lambda module: module.encode(DOCUMENT, codec_options=options))


@pytest.mark.parametrize(
    "check_keys", [False, True, 0, 1, 2, 255, 256, -1, 1.0, None, "x", []], ids=shown
)
def test_check_keys(check_keys: Any) -> None:
    for document in ({"$a": 1}, {"a.b": 1}, {"a": {"$b": 1}}, {"a": 1}):
        both(lambda module, document=document: module.encode(document, check_keys))


@pytest.mark.parametrize(
    "document",
    [DOCUMENT, bson.SON(b=1, _id=2), {}, None, 5, [], "x", {1: 1}, {"a": object()}, {"a": 2**64}],
    ids=shown,
)
def test_encode(document: Any) -> None:
    both(lambda module: module.encode(document))
    both(lambda module: module.encode(document, check_keys=True, codec_options=OPTIONS["SON"]))


class NoDebts(MoneyCodec):
    def transform_bson(self, value: bson.Decimal128) -> Money:
        money = super().transform_bson(value)
        if money.cents < 0:
            raise ZeroDivisionError
        return money


def test_the_users_own_types() -> None:
    options: CodecOptions[Any] = CodecOptions(type_registry=TypeRegistry([NoDebts()]))
    document = {"price": Money(250), "more": [Money(1)]}
    data = ferromongo.bson.encode(document, codec_options=options)
    assert data == bson.encode(document, codec_options=options)
    assert ferromongo.bson.decode_all(data * 2, options) == [document, document]
    # What a codec raises reaches the caller as it does with PyMongo, and ends the iteration.
    for value in (bson.Decimal128("-1"), [bson.Decimal128("-1")]):
        every_way(data + bson.encode({"v": value}) + data, options)


class RawSubclass(RawBSONDocument):
    pass


class Picky(dict):
    def __setitem__(self, key: Any, value: Any) -> None:
        if key == "text":
            raise ZeroDivisionError
        super().__setitem__(key, value)


@pytest.mark.parametrize(
    "document_class", [RawSubclass, Picky, dict[str, Any], collections.OrderedDict]
)
def test_document_classes(document_class: Any) -> None:
    options: CodecOptions[Any] = CodecOptions(document_class=document_class)
    for data in (ONE, MANY, bytearray(MANY), memoryview(MANY)):
        every_way(data, options)


@pytest.mark.parametrize("data", [ONE, LONG, bson.BSON(ONE)], ids=["short", "long", "subclass"])
def test_a_raw_document_keeps_its_bytes_object(data: bytes) -> None:
    for module in MODULES.values():
        document = module.decode(data, DEFAULT_RAW_BSON_OPTIONS)
        assert document.raw is data
        assert module.encode(document) is data
        assert module.encode(document, True) is data
        [document] = module.decode_all(data, DEFAULT_RAW_BSON_OPTIONS)
        assert document.raw is data
    assert ferromongo.bson.encode({"in": document}) == bson.encode({"in": document})


@pytest.mark.parametrize("document_class", [RawBSONDocument, RawSubclass])
def test_raw_documents_are_like_those_made_by_their_constructor(document_class: Any) -> None:
    options: CodecOptions[Any] = CodecOptions(document_class=document_class, tz_aware=True)
    made, usual = ferromongo.bson.decode(ONE, options), document_class(ONE, options)
    assert made == usual
    assert repr(made) == repr(usual)
    for twin in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), made):
        assert shape(twin) == shape(usual)
        assert dict(twin) == dict(usual)
        assert twin["when"].tzinfo is not None
        assert type(twin["inside"]) is document_class
    assert gc.is_tracked(made) == gc.is_tracked(usual)


@pytest.mark.parametrize(
    "buffer", [bytearray, memoryview, lambda data: memoryview(bytearray(data))]
)
def test_a_raw_document_is_safe_from_writers(buffer: Any) -> None:
    data = buffer(LONG + ONE)
    documents = ferromongo.bson.decode_all(data, DEFAULT_RAW_BSON_OPTIONS)
    if not memoryview(data).readonly:
        data[:] = bytes(len(data))
    assert [bytes(document.raw) for document in documents] == [LONG, ONE]
    assert ferromongo.bson.encode(documents[0]) == LONG
    assert type(ferromongo.bson.encode(documents[0])) is bytes


def test_long_raw_documents_share_the_memory_of_their_bytes() -> None:
    data = bson.encode({"text": "x" * 2_000_000}) * 10
    tracemalloc.start()
    try:
        documents = ferromongo.bson.decode_all(data, DEFAULT_RAW_BSON_OPTIONS)
        assert tracemalloc.get_traced_memory()[1] < len(data) / 100
    finally:
        tracemalloc.stop()
    assert all(document.raw.obj is data for document in documents)


@pytest.mark.parametrize("options", [None, DEFAULT_RAW_BSON_OPTIONS], ids=["dict", "raw"])
def test_iterating_copies_one_document_at_a_time(options: Any) -> None:
    data = ONE * 20_000
    for documents in (
        ferromongo.bson.decode_iter(data, options),
        ferromongo.bson.decode_iter(memoryview(data), options),
        ferromongo.bson.decode_file_iter(io.BytesIO(data), options),
    ):
        tracemalloc.start()
        try:
            assert sum(1 for _ in documents) == 20_000
            assert tracemalloc.get_traced_memory()[1] < len(data) / 20
        finally:
            tracemalloc.stop()


class Once(io.BytesIO):
    """A file that answers `most` bytes at a time, and says what it was asked for."""

    def __init__(self, data: bytes, most: int | None = None) -> None:
        super().__init__(data)
        self.most = most
        self.asked: list[int] = []

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        self.asked.append(size)
        return super().read(size if self.most is None else min(size, self.most))


@pytest.mark.parametrize("most", [None, *range(8), len(ONE) - 5, len(ONE) - 4, len(ONE)])
def test_files_that_give_less_than_asked(most: int | None) -> None:
    both(lambda module: module.decode_file_iter(Once(MANY, most)))
    ours, theirs = Once(MANY, most), Once(MANY, most)
    outcome(lambda: ferromongo.bson.decode_file_iter(ours))
    outcome(lambda: bson.decode_file_iter(theirs))
    assert ours.asked == theirs.asked


def test_every_cut_of_a_file() -> None:
    for length in range(len(ONE) + 10):
        both(lambda module, length=length: module.decode_file_iter(io.BytesIO(MANY[:length])))


@pytest.mark.parametrize(
    "file", [io.StringIO("abcdefgh"), io.StringIO(), None, b"", object()], ids=shown
)
def test_what_is_no_binary_file(file: Any) -> None:
    def read(module: Any) -> Any:
        if isinstance(file, io.StringIO):
            file.seek(0)
        return module.decode_file_iter(file)

    both(read)


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES)
def test_iterators_wait_to_be_asked(module: Any) -> None:
    file = Once(MANY)
    documents = module.decode_file_iter(file)
    assert file.asked == []
    assert next(documents) == DOCUMENT
    assert file.tell() == len(ONE)
    documents.close()
    module.decode_iter(None)
    module.decode_iter(b"", 5)
    broken = module.decode_iter(ONE + b"\x05\0\0\0\x01" + ONE)
    assert next(broken) == DOCUMENT
    with pytest.raises(bson.errors.InvalidBSON):
        next(broken)
    assert list(broken) == []


def test_no_buffer_is_held_between_documents() -> None:
    data = bytearray(MANY)
    documents = ferromongo.bson.decode_iter(data)  # type: ignore[arg-type]
    next(documents)
    data.extend(b"x")  # refused while somebody holds the buffer
    assert next(documents) == {}


class Meddling(dict):
    """Clears the buffer it is being decoded from, or tries to."""

    buffer: Any = None

    def __setitem__(self, key: Any, value: Any) -> None:
        try:
            self.buffer[:] = bytes(len(self.buffer))
        finally:
            super().__setitem__(key, value)


def test_a_document_class_that_writes_into_the_buffer() -> None:
    Meddling.buffer = bytearray(ONE * 2)
    options: CodecOptions[Any] = CodecOptions(document_class=Meddling)
    first, second = ferromongo.bson.decode_all(Meddling.buffer, options)
    assert list(first) == list(second) == list(DOCUMENT)


def test_nothing_leaks() -> None:
    bad = MANY + b"\5\0\0\0\1"
    raw = RawBSONDocument(ONE)
    view = memoryview(bytearray(MANY))

    def use() -> None:
        for data in (MANY, bytearray(MANY), memoryview(MANY), view, bad, view[::2], "x"):
            for name, options in itertools.product(FUNCTIONS[1:4], (None, *OPTIONS.values())):
                outcome(functools.partial(getattr(ferromongo.bson, name), data, options))
        ferromongo.bson.encode(raw)

    for _ in range(20):
        use()
    counts = [sys.getrefcount(item) for item in (MANY, ONE, raw, view, DEFAULT_RAW_BSON_OPTIONS)]
    tracemalloc.start()
    try:
        use()
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(100):
            use()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 4096
    finally:
        tracemalloc.stop()
    assert counts == [
        sys.getrefcount(item) for item in (MANY, ONE, raw, view, DEFAULT_RAW_BSON_OPTIONS)
    ]
    view.release()  # refused while something still holds the buffer


def test_is_valid_of_what_no_document_is_that_deep() -> None:
    def nested(depth: int) -> bytes:
        data = b"\5\0\0\0\0"
        for _ in range(depth):
            data = struct.pack("<i", len(data) + 8) + b"\3a\0" + data + b"\0"
        return data

    assert both(lambda module: module.is_valid(nested(100))) == (bool, True)
    assert both(lambda module: module.is_valid(nested(5000))) == (bool, False)
