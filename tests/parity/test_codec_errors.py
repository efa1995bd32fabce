"""Errors beside PyMongo's: the same class, the document named, nothing told that is private."""

from __future__ import annotations

import struct
import sys
import threading
from typing import Any

import bson
import pytest
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from tests.parity.beside_bson import both_decode, both_encode, decode, encode
from tests.parity.codec_faults import BAD_BYTES, BAD_VALUES, PLACES, READING, REFUSING, Asked
from tests.parity.sample_bytes import element
from tests.parity.sample_values import AUTO, READABLE

SECRET = "s3cret"
# PyMongo writes these: it copies as many bytes as the type has, also from a shorter object, and
# cuts numbers that are too big. Here they are refused.
WRITTEN_WRONG_BY_PYMONGO = {
    "short ObjectId",
    "marked 7, short",
    "marked 19, short",
    "marked 17, too big",
    "subtype out of range",
}


def error_of(function: Any, *arguments: Any) -> BaseException | None:
    try:
        function(*arguments)
    except Exception as error:
        return error
    return None


@pytest.mark.parametrize("name", BAD_VALUES)
@pytest.mark.parametrize("place", PLACES)
def test_a_bad_value_is_refused_as_pymongo_does(name: str, place: str) -> None:
    document = PLACES[place](BAD_VALUES[name])
    document = SON([("private", SECRET), *document.items()])
    options: CodecOptions[Any] = CodecOptions()
    ours = error_of(encode, document, False, options)
    theirs = error_of(bson.encode, document, False, options)
    assert ours is not None
    assert SECRET not in str(ours)
    if name in WRITTEN_WRONG_BY_PYMONGO:
        return
    assert type(ours) is type(theirs)
    assert getattr(ours, "document", None) is getattr(theirs, "document", None)
    for telling in ("Invalid document: ", "cannot encode object: ", ", of type: ", "key was "):
        assert (telling in str(ours)) == (telling in str(theirs))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("options", REFUSING)
def test_what_type_codecs_refuse(place: str, options: str) -> None:
    both_encode(PLACES[place](Asked()), options=REFUSING[options])


@pytest.mark.parametrize("name", BAD_BYTES)
@pytest.mark.parametrize("options", READING)
def test_bad_bytes_are_refused_as_pymongo_does(name: str, options: str) -> None:
    both_decode(BAD_BYTES[name], READING[options])


@pytest.mark.parametrize("name", BAD_BYTES)
def test_errors_of_decoding_tell_no_values(name: str) -> None:
    text = struct.pack("<i", len(SECRET) + 1) + SECRET.encode() + b"\0"
    inner = BAD_BYTES[name][4:-1]
    body = b"\2private\0" + text + inner
    error = error_of(decode, struct.pack("<i", len(body) + 5) + body + b"\0")
    assert SECRET not in str(error)


NUMBERS = (-1, 0, 1, 4, 5, 2**31 - 1, -(2**31))


@pytest.mark.parametrize("name", [name for name in READABLE if "long" not in name])
def test_every_truncation_and_every_lying_length(name: str) -> None:
    """Any four bytes may be a length: all of them are tried with what a length may lie."""
    value = READABLE[name]
    for document in ({"v": value}, {"d": {"v": [value]}}):
        data = bson.encode(document, codec_options=AUTO)
        if len(data) > 300:
            continue
        for end in range(len(data)):
            both_decode(data[:end], AUTO)
            both_decode(struct.pack("<i", end) + data[4:end], AUTO)
        for start in range(len(data) - 3):
            (said,) = struct.unpack_from("<i", data, start)
            lies = {
                *NUMBERS,
                *(said + change for change in (-5, -4, -1, 1, 4) if abs(said) < 2**30),
            }
            for lie in lies - {said}:
                both_decode(data[:start] + struct.pack("<i", lie) + data[start + 4 :], AUTO)


def nested(depth: int) -> tuple[bytes, dict[str, Any]]:
    data, document = b"\5\0\0\0\0", dict[str, Any]()
    for _ in range(depth):
        data, document = element(3, data, b"d"), {"d": document}
    return data, document


@pytest.mark.parametrize("limit", [300, 1000, 100_000])
def test_depth_in_a_thread_with_a_small_stack(limit: int) -> None:
    """Some systems give a thread half a megabyte: an error, never the end of the process."""
    ends: list[Any] = []

    def work() -> None:
        for depth in (100, 900, 5000):
            data, document = nested(depth)
            kinds: list[CodecOptions[Any]] = [CodecOptions(), CodecOptions(document_class=SON)]
            ends.append([type(error_of(decode, data, options)) for options in kinds])
            ends.append([type(error_of(encode, document))])
            while document:  # a dict this deep is taken apart from the outside
                document = document.pop("d")

    before, size = sys.getrecursionlimit(), threading.stack_size(512 * 1024)
    try:
        sys.setrecursionlimit(limit)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        sys.setrecursionlimit(before)
        threading.stack_size(size)
    fine = type(None)
    assert ends[:2] == [[fine, fine], [fine]]
    assert ends[4:] == [[bson.errors.InvalidBSON] * 2, [RecursionError]]
    if sys.version_info < (3, 12):  # later ones count C's levels apart from Python's
        assert (ends[2] == [fine, fine]) == (limit > 900)


def test_a_raw_document_of_bad_bytes() -> None:
    assert type(error_of(RawBSONDocument, b"\5\0\0\0\1")) is bson.errors.InvalidBSON
    options: CodecOptions[Any] = CodecOptions(document_class=RawBSONDocument)
    for data in BAD_BYTES.values():
        both_decode(data, options)
