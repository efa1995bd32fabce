"""Runs one thing through ferromongo's codec and through `bson`, and compares what comes out."""

from __future__ import annotations

import collections
import datetime
import struct
import uuid
from typing import Any

import bson
from bson.binary import Binary
from bson.codec_options import CodecOptions
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument

from ferromongo import _core

DEFAULT: CodecOptions[Any] = CodecOptions()


def encode(document: Any, check_keys: bool = False, options: CodecOptions[Any] = DEFAULT) -> bytes:
    return _core.encode(document, check_keys, options)


def decode(data: Any, options: CodecOptions[Any] = DEFAULT) -> Any:
    return _core.decode(data, options)


def shape(value: Any) -> Any:
    """A value as something that compares types, order and hidden state too."""
    kind = type(value)
    if isinstance(value, RawBSONDocument):
        return kind, bytes(value.raw)
    if isinstance(value, collections.abc.Mapping):
        return kind, [(type(key), key, shape(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return kind, [shape(item) for item in value]
    if isinstance(value, float):
        return kind, struct.pack("<d", value)
    if isinstance(value, bson.DBRef):
        return (
            kind,
            value.collection,
            shape(value.id),
            value.database,
            shape(value._DBRef__kwargs),
        )
    if isinstance(value, bson.Code):
        return kind, str(value), shape(value.scope)
    if isinstance(value, bson.Regex):
        return kind, value.pattern, type(value.flags), value.flags
    if isinstance(value, Binary):
        return kind, bytes(value), value.subtype
    if isinstance(value, datetime.datetime):
        return kind, value, value.fold, repr(value.tzinfo), value.utcoffset()
    if isinstance(value, uuid.UUID):
        return kind, value, value.is_safe
    if isinstance(value, (DatetimeMS, bson.Int64)):
        return kind, int(value)
    return kind, value


def outcome(function: Any, *arguments: Any) -> Any:
    try:
        return "ok", shape(function(*arguments))
    except Exception as error:
        return "raised", type(error)


def both_encode(
    document: Any, check_keys: bool = False, options: CodecOptions[Any] = DEFAULT
) -> Any:
    ours, theirs = (
        outcome(encode, document, check_keys, options),
        outcome(bson.encode, document, check_keys, options),
    )
    assert ours == theirs
    return ours


def both_decode(data: bytes, options: CodecOptions[Any] = DEFAULT) -> Any:
    ours, theirs = outcome(decode, data, options), outcome(bson.decode, data, options)
    assert ours == theirs
    return ours
