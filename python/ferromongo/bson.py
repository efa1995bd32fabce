"""Documents to BSON and back: PyMongo's `bson` with the engine's codec.

`import ferromongo.bson as bson` and `from ferromongo.bson import X` take the place of the same
lines with `bson`. The functions here are ferromongo's; the types, options and exceptions are
PyMongo's own, so either package reads what the other has made.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import IO, Any, BinaryIO, overload

from bson import (
    ALL_UUID_SUBTYPES,
    BSON,
    BSONARR,
    BSONBIN,
    BSONBOO,
    BSONCOD,
    BSONCWS,
    BSONDAT,
    BSONDEC,
    BSONINT,
    BSONLON,
    BSONMAX,
    BSONMIN,
    BSONNUL,
    BSONNUM,
    BSONOBJ,
    BSONOID,
    BSONREF,
    BSONRGX,
    BSONSTR,
    BSONSYM,
    BSONTIM,
    BSONUND,
    CSHARP_LEGACY,
    DEFAULT_CODEC_OPTIONS,
    EPOCH_AWARE,
    EPOCH_NAIVE,
    JAVA_LEGACY,
    OLD_UUID_SUBTYPE,
    RE_TYPE,
    SON,
    STANDARD,
    UUID_SUBTYPE,
    Binary,
    Code,
    CodecOptions,
    DatetimeConversion,
    DatetimeMS,
    DBRef,
    Decimal128,
    Int64,
    InvalidBSON,
    InvalidDocument,
    InvalidStringData,
    MaxKey,
    MinKey,
    ObjectId,
    Regex,
    Timestamp,
    UuidRepresentation,
    binary,
    code,
    codec_options,
    datetime_ms,
    dbref,
    decimal128,
    errors,
    gen_list_name,
    get_data_and_view,
    has_c,
    int64,
    json_util,
    max_key,
    min_key,
    objectid,
    raw_bson,
    regex,
    son,
    timestamp,
    typings,
    tz_util,
    utc,
)

from ferromongo import _core
from ferromongo.typings import DocumentType, ReadableBuffer


def encode(
    document: Mapping[str, Any],
    check_keys: bool = False,
    codec_options: CodecOptions[Any] = DEFAULT_CODEC_OPTIONS,
) -> bytes:
    """The BSON of `document`, its `_id` first.

    :param document: any mapping; of a RawBSONDocument the bytes it holds are answered
    :param check_keys: refuse keys that start with `$` or contain a dot
    :param codec_options: how to encode UUIDs and the user's own types

    Raises TypeError if `document` is no mapping; InvalidDocument for a key or value that BSON
    cannot hold (the exception's `document` is the whole); OverflowError for an int of more than
    64 bits; InvalidStringData for a pattern of bytes that are not UTF-8. Counterpart of
    `bson.encode`.
    """
    return _core.encode(document, check_keys, codec_options)


@overload
def decode(data: ReadableBuffer, codec_options: None = None) -> dict[str, Any]: ...
@overload
def decode(data: ReadableBuffer, codec_options: CodecOptions[DocumentType]) -> DocumentType: ...
def decode(
    data: ReadableBuffer, codec_options: CodecOptions[DocumentType] | None = None
) -> dict[str, Any] | DocumentType:
    """The document that `data` holds, as an object of the document class.

    :param data: one BSON document, in anything with a buffer of contiguous bytes
    :param codec_options: the document class and what to make of dates, UUIDs, bad UTF-8 and the
        user's own types

    A RawBSONDocument keeps `data` itself if that is bytes. Raises InvalidBSON for anything but
    one whole, well-formed document. Counterpart of `bson.decode`.
    """
    return _core.decode(data, codec_options or DEFAULT_CODEC_OPTIONS)  # type: ignore[no-any-return]


@overload
def decode_all(data: ReadableBuffer, codec_options: None = None) -> list[dict[str, Any]]: ...
@overload
def decode_all(
    data: ReadableBuffer, codec_options: CodecOptions[DocumentType]
) -> list[DocumentType]: ...
def decode_all(
    data: ReadableBuffer, codec_options: CodecOptions[DocumentType] | None = None
) -> list[dict[str, Any]] | list[DocumentType]:
    """All documents of `data`, which follow each other without gaps.

    :param data: BSON documents, in anything with a buffer of contiguous bytes; none is fine
    :param codec_options: as for `decode`

    A RawBSONDocument of 4096 bytes or more is a view of `data` if that is bytes, and keeps it
    alive; shorter ones are copies. Raises InvalidBSON if one of the documents is malformed.
    Counterpart of `bson.decode_all`.
    """
    return _core.decode_all(data, DEFAULT_CODEC_OPTIONS if codec_options is None else codec_options)


@overload
def decode_iter(data: bytes, codec_options: None = None) -> Iterator[dict[str, Any]]: ...
@overload
def decode_iter(
    data: bytes, codec_options: CodecOptions[DocumentType]
) -> Iterator[DocumentType]: ...
def decode_iter(
    data: bytes, codec_options: CodecOptions[DocumentType] | None = None
) -> Iterator[dict[str, Any]] | Iterator[DocumentType]:
    """A generator over the documents of `data`: each is decoded when it is asked for.

    :param data: BSON documents without gaps; a memoryview works too, and is not copied as a whole
    :param codec_options: as for `decode`

    Raises InvalidBSON at a document that is malformed and struct.error where fewer than four bytes
    are left; a single byte at the end is ignored. Counterpart of `bson.decode_iter`.
    """
    options = codec_options or DEFAULT_CODEC_OPTIONS
    if not isinstance(options, CodecOptions):  # even where there is nothing to decode
        raise TypeError("codec_options must be a CodecOptions object")
    position, last = 0, len(data) - 1
    while position < last:
        [size] = _LENGTH.unpack_from(data, position)
        yield _core.decode(data[position : position + size], options)
        position += size


@overload
def decode_file_iter(
    file_obj: BinaryIO | IO[bytes], codec_options: None = None
) -> Iterator[dict[str, Any]]: ...
@overload
def decode_file_iter(
    file_obj: BinaryIO | IO[bytes], codec_options: CodecOptions[DocumentType]
) -> Iterator[DocumentType]: ...
def decode_file_iter(
    file_obj: BinaryIO | IO[bytes], codec_options: CodecOptions[DocumentType] | None = None
) -> Iterator[dict[str, Any]] | Iterator[DocumentType]:
    """A generator over the documents of a file, such as a `mongodump` makes.

    It reads one document at a time, so a file may be larger than memory.

    :param file_obj: a binary file, at the start of a document; its `read` must answer as many bytes
        as asked for unless the file ends (a buffered file does)
    :param codec_options: as for `decode`

    Raises InvalidBSON at a document that is malformed or cut short. Counterpart of
    `bson.decode_file_iter`.
    """
    options = codec_options or DEFAULT_CODEC_OPTIONS
    while prefix := file_obj.read(_LENGTH.size):
        if len(prefix) != _LENGTH.size:
            raise InvalidBSON("the file ends within the length of a document")
        [size] = _LENGTH.unpack(prefix)
        yield _core.decode(prefix + file_obj.read(max(0, size - _LENGTH.size)), options)


def is_valid(bson: bytes) -> bool:
    """Whether `bson` is one well-formed document that `decode` can read.

    Raises TypeError for anything but bytes. Counterpart of `bson.is_valid`.
    """
    if not isinstance(bson, bytes):
        raise TypeError(f"BSON data must be bytes, not {type(bson).__name__}")
    try:
        _core.decode(bson, DEFAULT_CODEC_OPTIONS)
    except Exception:  # whatever it is: a type may refuse its value in its own way
        return False
    return True


_LENGTH = struct.Struct("<i")

__all__ = [
    "ALL_UUID_SUBTYPES",
    "BSON",
    "BSONARR",
    "BSONBIN",
    "BSONBOO",
    "BSONCOD",
    "BSONCWS",
    "BSONDAT",
    "BSONDEC",
    "BSONINT",
    "BSONLON",
    "BSONMAX",
    "BSONMIN",
    "BSONNUL",
    "BSONNUM",
    "BSONOBJ",
    "BSONOID",
    "BSONREF",
    "BSONRGX",
    "BSONSTR",
    "BSONSYM",
    "BSONTIM",
    "BSONUND",
    "CSHARP_LEGACY",
    "DEFAULT_CODEC_OPTIONS",
    "EPOCH_AWARE",
    "EPOCH_NAIVE",
    "JAVA_LEGACY",
    "OLD_UUID_SUBTYPE",
    "RE_TYPE",
    "SON",
    "STANDARD",
    "UUID_SUBTYPE",
    "Binary",
    "Code",
    "CodecOptions",
    "DBRef",
    "DatetimeConversion",
    "DatetimeMS",
    "Decimal128",
    "Int64",
    "InvalidBSON",
    "InvalidDocument",
    "InvalidStringData",
    "MaxKey",
    "MinKey",
    "ObjectId",
    "Regex",
    "Timestamp",
    "UuidRepresentation",
    "binary",
    "code",
    "codec_options",
    "datetime_ms",
    "dbref",
    "decimal128",
    "decode",
    "decode_all",
    "decode_file_iter",
    "decode_iter",
    "encode",
    "errors",
    "gen_list_name",
    "get_data_and_view",
    "has_c",
    "int64",
    "is_valid",
    "json_util",
    "max_key",
    "min_key",
    "objectid",
    "raw_bson",
    "regex",
    "son",
    "timestamp",
    "typings",
    "tz_util",
    "utc",
]
