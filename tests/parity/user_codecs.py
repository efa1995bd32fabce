"""Codec options of a client, as users have them, and the text by which two results are compared.

A type decoder gets values of the user's documents. What the server says of its own accord (counts,
codes, messages, cursor ids) stays as it is, also when the decoder would raise.
"""

from __future__ import annotations

import collections.abc
import datetime
import re
from collections.abc import Callable
from typing import Any

import bson
from bson import Int64, ObjectId
from bson.codec_options import TypeCodec, TypeDecoder, TypeRegistry
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from tests.parity.sample_values import AnyMutableMapping


class Mine:
    """What a decoder makes of a value: nothing that a driver could go on with."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"Mine({self.value!r})"


def decoder(kind: type) -> TypeDecoder:
    class Decoder(TypeDecoder):
        bson_type = kind

        def transform_bson(self, value: Any) -> Any:
            return Mine(value)

    return Decoder()


def refuser(kind: type) -> TypeDecoder:
    class Refuser(TypeDecoder):
        bson_type = kind

        def transform_bson(self, value: Any) -> Any:
            # The documents of the cases hold one value of each kind that may be decoded.
            raise LookupError(f"a decoder for {kind.__name__} was asked")

    return Refuser()


class Money:
    def __init__(self, cents: int = 150) -> None:
        self.cents = cents


class MoneyCodec(TypeCodec):
    python_type = Money  # type: ignore[assignment]
    bson_type = bson.Decimal128  # type: ignore[assignment]

    def transform_python(self, value: Money) -> Any:
        return bson.Decimal128(str(value.cents))

    def transform_bson(self, value: Any) -> Any:
        return Mine(value)


def registry(*codecs: Any) -> dict[str, Any]:
    return {"type_registry": TypeRegistry(codecs)}


KINDS = (int, Int64, float, str, bool, datetime.datetime, ObjectId, bytes, dict, list)

DECODERS: dict[str, dict[str, Any]] = {
    **{
        f"decodes {kind.__name__}": registry(decoder(kind))
        for kind in (int, float, str, datetime.datetime, dict, list)
    },
    "decodes all values": registry(*map(decoder, KINDS[:-2])),
    "decodes money": registry(MoneyCodec()),
    "decodes int into SON": {**registry(decoder(int)), "document_class": SON},
    "decodes int, raw": {**registry(decoder(int)), "document_class": RawBSONDocument},
    "decodes SON": {**registry(decoder(SON)), "document_class": SON},
    "refuses int": registry(refuser(int)),
    "refuses str": registry(refuser(str)),
    "refuses Int64": registry(refuser(Int64)),
    "refuses float": registry(refuser(float)),
}

WITHOUT: dict[str, dict[str, Any]] = {
    "default": {},
    "SON": {"document_class": SON},
    "mutable mapping": {"document_class": AnyMutableMapping},
    "raw": {"document_class": RawBSONDocument},
    "aware": {"tz_aware": True},
    "milliseconds": {"datetime_conversion": "DATETIME_MS"},
    "unicode replace": {"unicode_decode_error_handler": "replace"},
    "standard uuid": {"uuidRepresentation": "standard"},
}

OPTIONS = WITHOUT | DECODERS
"""Enough for what takes long."""
SOME = ("default", "SON", "raw", "aware", "decodes all values", "refuses int", "refuses str")


async def outcome(call: Callable[[], Any]) -> tuple[Any, ...]:
    """A call is made here: the synchronous API fails at once."""
    try:
        return ("returned", await call())
    except Exception as error:
        code, details = getattr(error, "code", None), getattr(error, "details", None)
        labels = sorted(getattr(error, "_error_labels", ()))
        # The server's messages are the same; the driver's may be worded differently.
        text = None if details is None else str(error).partition(", full error")[0]
        return ("raised", type(error).__name__, code, text, details, labels)


def told(value: Any, loose: bool = False) -> str:
    """A value as text with the types in it, less what no two runs have in common. `loose`: all
    mappings are one."""
    if isinstance(value, collections.abc.Mapping):
        kind = "document" if loose else type(value).__name__
        try:
            fields = [f"{key}: {_of_field(key, value[key], loose)}" for key in value]
        except bson.errors.InvalidBSON as error:
            return f"{kind} that cannot be read: {error}"
        return f"{kind}({', '.join(fields)})"
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}({', '.join(told(item, loose) for item in value)})"
    if isinstance(value, str):
        return f"str({_stable(value)!r})"
    return f"{type(value).__name__}({_stable(repr(value))})"


def _of_field(key: Any, value: Any, loose: bool) -> str:
    if key not in CHANGING:
        return told(value, loose)
    return "..." if loose else type(value).__name__


def _stable(text: str) -> str:
    text = re.sub(r"Timestamp\(\d+, \d+\)", "Timestamp", text)
    return re.sub(r"[0-9a-fA-F]{24,}", "...", text)


CHANGING = {
    *("$clusterTime", "operationTime", "electionId", "opTime", "uuid", "_data", "clusterTime"),
    *("wallTime", "collectionUUID", "lsid", "serverInfo", "serverParameters", "sizeOnDisk"),
    *("totalSize", "totalSizeMb", "uploadDate", "txnNumber", "allocator", "lastWrite"),
    *("executionTimeMillis", "executionTimeMillisEstimate"),
}
