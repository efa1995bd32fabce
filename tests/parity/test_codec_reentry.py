"""Python code that runs in the middle of encoding or decoding, and does its worst.

The codec must not read what that code took away, must let its exceptions through, and must hold
the garbage collector off only where no such code can run.
"""

from __future__ import annotations

import contextlib
import datetime
import gc
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions, TypeCodec, TypeRegistry
from bson.son import SON
from tests.parity.beside_bson import DEFAULT, decode, encode, outcome
from tests.parity.codec_faults import PLACES, Asked
from tests.parity.sample_bytes import element
from tests.parity.sample_values import AUTO, READABLE, AnyMapping

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PLACED = [dict, list, tuple, str, bytes, int, float, datetime.datetime]


def falling_back(answer: Callable[[Any], Any]) -> CodecOptions[Any]:
    return CodecOptions(type_registry=TypeRegistry(fallback_encoder=answer))


# ---- encoding while the containers change


def test_a_dict_that_is_cleared_while_it_is_encoded() -> None:
    for inner in (False, True):
        fields: dict[str, Any] = {letter: [letter * 50] for letter in LETTERS}
        fields["c"] = Asked()

        def clear(_: Any, fields: dict[str, Any] = fields) -> str:
            fields.clear()
            gc.collect()
            return "cleared"

        written = encode({"in": fields} if inner else fields, options=falling_back(clear))
        read = decode(written)
        assert list(read["in"] if inner else read) == ["a", "b", "c"]


def test_a_dict_that_is_rebuilt_while_it_is_encoded() -> None:
    fields: dict[str, Any] = {letter: Asked() for letter in LETTERS}

    def rebuild(_: Any) -> str:
        kept = dict(fields)
        fields.clear()
        for number in range(500):
            fields[f"{number}"] = "x" * number
        fields.clear()
        fields.update(kept)
        return "rebuilt"

    assert set(decode(encode(fields, options=falling_back(rebuild))).values()) == {"rebuilt"}


def test_a_key_that_changes_the_dict_when_it_is_compared() -> None:
    class Key(str):
        def __hash__(self) -> int:
            return hash("_id")

        def __eq__(self, other: object) -> bool:
            fields.clear()
            gc.collect()
            return False

    fields: dict[str, Any] = {}
    fields[Key("k")] = ["value" * 20]
    with contextlib.suppress(Exception):
        encode(fields)
    assert fields == {}


def test_a_mapping_that_empties_itself() -> None:
    class Emptying(AnyMapping):
        def __getitem__(self, key: str) -> Any:
            try:
                return self.fields[key]
            finally:
                self.fields = {}
                gc.collect()

        def __iter__(self) -> Iterator[str]:
            return iter(["a"])

    assert decode(encode({"m": Emptying(a=["x" * 50])})) == {"m": {"a": ["x" * 50]}}


def test_a_raw_document_whose_bytes_are_made_when_asked_for() -> None:
    class Raw:
        _type_marker = 101

        def __init__(self, make: Callable[[bytes], Any]) -> None:
            self.make = make

        @property
        def raw(self) -> Any:
            gc.collect()
            return self.make(bson.encode({"n": "x" * 100}))

    for make in (bytes, memoryview):
        assert decode(encode({"r": Raw(make)})) == {"r": {"n": "x" * 100}}


def test_an_encoder_that_encodes() -> None:
    def nested(value: Any) -> Any:
        if isinstance(value, Asked):
            return encode({"big": "y" * 1000, "more": {1}}, options=options)
        return sorted(value)

    options = falling_back(nested)
    written = encode({"before": "x" * 50, "asked": Asked(), "after": 1}, options=options)
    read = decode(written)
    assert (read["before"], read["after"]) == ("x" * 50, 1)
    assert decode(read["asked"]) == {"big": "y" * 1000, "more": [1]}


# ---- decoding while its input changes, and while others decode


def test_a_document_class_that_empties_the_input() -> None:
    data = bytearray(bson.encode({letter: letter * 20 for letter in LETTERS}))

    class Emptying(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            data.clear()
            super().__setitem__(key, value)

    read = decode(data, CodecOptions(document_class=Emptying))
    assert read == {letter: letter * 20 for letter in LETTERS}
    assert data == b""


def test_decoders_that_decode() -> None:
    inner = bson.encode({"x": [1, "two"], "d": {"n": "leaf"}})
    expected = {"x": [1, "two"], "d": {"n": "leaf"}}
    seen = []

    class Nested(TypeCodec):
        python_type = Asked
        bson_type = bytes

        def transform_python(self, value: Any) -> Any:
            return inner

        def transform_bson(self, value: bytes) -> Any:
            seen.append(
                decode(value, CodecOptions(document_class=SON, tz_aware=len(seen) % 2 == 0))
            )
            return decode(value)

    options: CodecOptions[Any] = CodecOptions(type_registry=TypeRegistry([Nested()]))
    data = bson.encode({"list": [inner, [inner, 1], inner], "last": inner})
    assert decode(data, options) == {"list": [expected, [expected, 1], expected], "last": expected}
    assert seen == [SON(expected)] * 4


def test_an_overwritten_value_that_decodes_when_it_dies() -> None:
    deaths = []

    class Dying:
        def __del__(self) -> None:
            deaths.append((gc.isenabled(), decode(bson.encode({"a": ["b"]}))))
            gc.collect()

    class Living(TypeCodec):
        python_type = Dying
        bson_type = str

        def transform_python(self, value: Any) -> Any:
            return ""

        def transform_bson(self, value: str) -> Any:
            return Dying()

    options: CodecOptions[Any] = CodecOptions(type_registry=TypeRegistry([Living()]))
    member = bson.encode({"k": "v"})[4:-1]
    body = member * 20
    data = (len(body) + 5).to_bytes(4, "little") + body + b"\0"
    read = decode(data, options)
    assert list(read) == ["k"]
    assert deaths == [(True, {"a": ["b"]})] * 19


# ---- exceptions go through


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit, ZeroDivisionError])
def test_what_an_encoder_raises_goes_through(place: str, error: type[BaseException]) -> None:
    raised = error("mine")

    def refuse(_: Any) -> Any:
        raise raised

    with pytest.raises(error) as caught:
        encode(PLACES[place](Asked()), options=falling_back(refuse))
    assert caught.value is raised
    assert encode({"a": 1}) == bson.encode({"a": 1})


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_stops_a_program_goes_through_everywhere(error: type[BaseException]) -> None:
    raised = error("mine")

    def refuse(*_: Any) -> Any:
        raise raised

    class Unshowable:
        __repr__ = refuse

    class Unreadable(AnyMapping):
        __getitem__ = refuse

    class Unmarked:
        _type_marker = property(refuse)

    class Unwritable(dict[str, Any]):
        __setitem__ = refuse

    class Zone(datetime.tzinfo):
        utcoffset = refuse

    class Refusing(TypeCodec):
        python_type = Asked
        bson_type = str
        transform_python = transform_bson = refuse

    registry = TypeRegistry([Refusing()])
    text = bson.encode({"a": [{"b": "text"}]})
    date = bson.encode({"a": {"b": datetime.datetime(2020, 1, 1)}})
    calls: list[tuple[Callable[..., Any], Any, CodecOptions[Any]]] = [
        (decode, text, CodecOptions(type_registry=registry)),
        (decode, text, CodecOptions(document_class=Unwritable)),
        (decode, date, CodecOptions(tz_aware=True, tzinfo=Zone())),
    ]
    for value in (
        Unshowable(),
        Unreadable(a=1),
        Asked(),
        datetime.datetime(2020, 1, 1, tzinfo=Zone()),
    ):
        for place in PLACES.values():
            options: CodecOptions[Any] = CodecOptions(type_registry=registry)
            calls.append(
                (lambda value, options: encode(value, options=options), place(value), options)
            )
    calls.append((lambda value, _: encode(value), Unreadable(a=1), DEFAULT))
    for call, argument, options in calls:
        with pytest.raises(error) as caught:
            call(argument, options)
        assert caught.value is raised


# ---- the garbage collector


def large(value: Any) -> bytes:
    """A document over the size from which the collector may be held off."""
    return bson.encode({"values": [{"v": value, "s": "text" * 10}] * 500}, codec_options=AUTO)


def test_user_code_sees_the_collector_on() -> None:
    seen: list[bool] = []

    class Seeing(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            seen.append(gc.isenabled())
            super().__setitem__(key, value)

    class Zone(datetime.tzinfo):
        def utcoffset(self, moment: Any) -> datetime.timedelta:
            seen.append(gc.isenabled())
            return datetime.timedelta(0)

        def dst(self, moment: Any) -> datetime.timedelta:
            return datetime.timedelta(0)

    class Codec(TypeCodec):
        python_type = Asked
        bson_type = str

        def transform_python(self, value: Any) -> Any:
            return ""

        def transform_bson(self, value: str) -> str:
            seen.append(gc.isenabled())
            return value

    data = large(datetime.datetime(2020, 1, 1))
    for options in (
        CodecOptions(document_class=Seeing),
        CodecOptions(tz_aware=True, tzinfo=Zone()),
        CodecOptions(type_registry=TypeRegistry([Codec()])),
    ):
        seen.clear()
        decode(data, options)
        assert len(seen) >= 500
        assert all(seen)
    assert gc.isenabled()


@pytest.mark.parametrize("name", READABLE)
def test_no_collection_while_a_large_document_is_decoded(name: str) -> None:
    """And none of its types needs Python code, which a profiler would see being called."""
    data = large(READABLE[name])
    decode(data, AUTO)
    calls: list[Any] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            calls.append(frame.f_code)

    runs: list[str] = []

    def collecting(phase: str, info: Any) -> None:
        runs.append(phase)

    gc.callbacks.append(collecting)
    before = gc.get_threshold()
    try:
        gc.collect()
        gc.set_threshold(50)
        runs.clear()
        sys.setprofile(note)
        found = decode(data, AUTO)
        sys.setprofile(None)
        made = list(runs)
    finally:
        sys.setprofile(None)
        gc.set_threshold(*before)
        gc.callbacks.remove(collecting)
    assert len(found["values"]) == 500
    expected = {"decode", "collecting", *(callback.__name__ for callback in gc.callbacks)}
    assert {code.co_name for code in calls} <= expected  # hypothesis listens to the collector too
    assert len(made) <= 2 * 3  # around the call, not one for every fifty objects


def test_no_other_thread_sees_the_collector_off() -> None:
    """An error must not let go of the GIL before the collector is on again."""
    bad = bson.encode({"a": ["x"]}).replace(b"x\0", b"\xff\0")
    broken = [
        element(4, large(1), b"fill")[:-1] + bad[4:],
        element(4, large(1), b"fill")[:-1] + element(8, b"\7")[4:],
    ]
    broken = [len(data).to_bytes(4, "little") + data[4:] for data in broken]
    off: list[bool] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            if not gc.isenabled():
                off.append(True)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(150):
            for data in broken:
                with pytest.raises(bson.errors.InvalidBSON):
                    decode(data)
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        watcher.join()
    assert off == []


def test_a_collection_in_the_middle_sees_only_whole_objects() -> None:
    """Objects that are being made lie open to `gc.get_objects`; a callback may use them."""
    data = bson.encode(
        {"v": list(READABLE.values())[:200], "u": uuid.UUID(int=5)}, codec_options=AUTO
    )
    options = AUTO.with_options(document_class=SON)
    expected = repr(decode(data, options))
    collections_seen = []

    def look(phase: str, info: Any) -> None:
        collections_seen.append(phase)
        for found in gc.get_objects(generation=0):
            if type(found) in (dict, list, SON, bson.DBRef, bson.Regex, bson.Code):
                with contextlib.suppress(Exception):
                    repr(found)
        with contextlib.suppress(Exception):
            decode(data[:200])

    before = gc.get_threshold()
    gc.callbacks.append(look)
    try:
        gc.set_threshold(3)
        for _ in range(3):
            assert repr(decode(data, options)) == expected
            encode({"v": [object]}, options=falling_back(lambda _: {"a": []}))
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(look)
    assert collections_seen


# ---- other interpreters


def test_a_second_interpreter_is_refused() -> None:
    """What the codec keeps (classes, field names) belongs to one interpreter."""
    program = textwrap.dedent("""
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        import ferromongo._core
        inner = '''
        try:
            import ferromongo._core
        except ImportError as error:
            print("refused", error)
        else:
            print("taken")
        '''
        import textwrap
        made = interpreters.create()
        answer = interpreters.run_string(made, textwrap.dedent(inner))
        if answer is not None:
            print("refused", answer)
    """)
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=150, check=False
    )
    assert (run.returncode, "refused" in run.stdout) == (0, True), run.stdout + run.stderr


# ---- objects that are not what they say


# PyMongo's C extension asks by PyMapping_HasKey, which reports what it ignores since CPython 3.13.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in PyMapping_HasKey:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("of", [*PLACED, bson.ObjectId, bson.Int64, bson.DBRef], ids=str)
def test_a_false_class_attribute_is_not_trusted(of: type) -> None:
    class Lies:
        @property
        def __class__(self) -> Any:
            return of

    for document in ({"a": Lies()}, Lies()):
        assert outcome(encode, document) == outcome(bson.encode, document)


@pytest.mark.parametrize("marker", [5, 7, 9, 11, 13, 17, 18, 19, 100, 101, 127, 255])
@pytest.mark.parametrize("base", PLACED, ids=str)
def test_a_type_marker_without_its_class_is_refused(base: type, marker: int) -> None:
    marked = type("Marked", (base,), {"_type_marker": marker})
    made = marked(2020, 1, 1) if base is datetime.datetime else marked()
    assert outcome(encode, {"a": made}) == outcome(bson.encode, {"a": made})
