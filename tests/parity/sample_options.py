"""CodecOptions: each choice that changes what a codec makes, and user type codecs."""

from __future__ import annotations

import collections
import datetime
import zoneinfo
from typing import Any

import bson
from bson.binary import UuidRepresentation
from bson.codec_options import (
    CodecOptions,
    DatetimeConversion,
    TypeCodec,
    TypeEncoder,
    TypeRegistry,
)
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from tests.parity.beside_bson import DEFAULT
from tests.parity.sample_values import UTC, AnyMutableMapping, Eager, Fields

OPTIONS: dict[str, CodecOptions[Any]] = {
    "default": DEFAULT,
    "aware": CodecOptions(tz_aware=True),
    "utc": CodecOptions(tz_aware=True, tzinfo=UTC),
    "paris": CodecOptions(tz_aware=True, tzinfo=zoneinfo.ZoneInfo("Europe/Paris")),
    "behind": CodecOptions(tz_aware=True, tzinfo=datetime.timezone(datetime.timedelta(hours=-12))),
    **{
        f"{conversion.name}{' paris' if zone else ''}": CodecOptions(
            tz_aware=zone,
            tzinfo=zoneinfo.ZoneInfo("Europe/Paris") if zone else None,
            datetime_conversion=conversion,
        )
        for conversion in DatetimeConversion
        for zone in (False, True)
    },
    **{
        f"uuid {number}": CodecOptions(uuid_representation=number)
        for number in (
            UuidRepresentation.STANDARD,
            UuidRepresentation.PYTHON_LEGACY,
            UuidRepresentation.JAVA_LEGACY,
            UuidRepresentation.CSHARP_LEGACY,
        )
    },
    "SON": CodecOptions(document_class=SON),
    "SON[...]": CodecOptions(document_class=SON[str, Any]),
    "dict[...]": CodecOptions(document_class=dict[str, Any]),
    "dict subclass": CodecOptions(document_class=Fields),
    "OrderedDict": CodecOptions(document_class=collections.OrderedDict),
    "mutable mapping": CodecOptions(document_class=AnyMutableMapping),
    "raw": CodecOptions(document_class=RawBSONDocument),
    **{
        f"unicode {errors}": CodecOptions(unicode_decode_error_handler=errors)
        for errors in ("replace", "ignore", "backslashreplace", "surrogateescape")
    },
}


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents


class MoneyCodec(TypeCodec):
    python_type = Money
    bson_type = bson.Decimal128

    def transform_python(self, value: Money) -> Any:
        return bson.Decimal128(f"{value.cents / 100:.2f}")

    def transform_bson(self, value: bson.Decimal128) -> Money:
        return Money(int(value.to_decimal() * 100))


class UpperCodec(TypeCodec):
    python_type = Eager
    bson_type = str

    def transform_python(self, value: Any) -> Any:
        return object()

    def transform_bson(self, value: str) -> str:
        if value == "bad":
            raise ZeroDivisionError
        return value.upper()


class DictCodec(TypeEncoder):
    python_type = set

    def transform_python(self, value: set[Any]) -> Any:
        return {"set": sorted(value)}


def fallback(value: Any) -> Any:
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, int):
        return str(value)
    if isinstance(value, frozenset):
        raise ZeroDivisionError
    return value


REGISTRIES = {
    "codec": TypeRegistry([MoneyCodec()]),
    "codecs": TypeRegistry([MoneyCodec(), UpperCodec(), DictCodec()]),
    "fallback": TypeRegistry(fallback_encoder=fallback),
    "both": TypeRegistry([MoneyCodec(), UpperCodec(), DictCodec()], fallback),
}
