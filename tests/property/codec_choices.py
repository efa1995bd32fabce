"""Makes any CodecOptions: every combination of what they let one choose."""

from __future__ import annotations

import collections
import datetime
import decimal
from typing import Any

import bson
from bson.codec_options import CodecOptions, TypeDecoder, TypeEncoder, TypeRegistry
from bson.raw_bson import RawBSONDocument
from bson.son import SON
from tests.parity.sample_options import Money, MoneyCodec, fallback
from tests.parity.sample_values import AnyMutableMapping, Fields
from tests.property.choices import Choices
from tests.property.zones import DECODING_ZONES


def codec_options(choices: Choices) -> CodecOptions[Any]:
    aware = bool(choices.below(3))
    return CodecOptions(
        document_class=choices.pick(DOCUMENT_CLASSES),
        tz_aware=aware,
        uuid_representation=choices.pick((0, 3, 4, 5, 6)),
        unicode_decode_error_handler=choices.pick(UNICODE_HANDLERS),
        tzinfo=choices.pick(DECODING_ZONES) if aware else None,
        type_registry=choices.pick(REGISTRIES),
        datetime_conversion=choices.pick((1, 2, 3, 4)),
    )


class Picky(AnyMutableMapping):
    """Refuses a field, as a validating document class would."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "b":
            raise LookupError(key)
        super().__setitem__(key, value)


DOCUMENT_CLASSES: tuple[Any, ...] = (
    *(dict,) * 4,
    dict[str, Any],
    SON,
    SON[str, Any],
    collections.OrderedDict,
    Fields,
    AnyMutableMapping,
    collections.UserDict,
    Picky,
    RawBSONDocument,
)
UNICODE_HANDLERS = (
    *("strict",) * 3,
    *("replace", "ignore", "surrogateescape", "backslashreplace", "surrogatepass", "no handler"),
)


def encoder(of: type, function: Any) -> TypeEncoder:
    """A type encoder for one type."""
    return type("Encoder", (TypeEncoder,), {"python_type": of, "transform_python": function})()


def decoder(of: type, function: Any) -> TypeDecoder:
    return type("Decoder", (TypeDecoder,), {"bson_type": of, "transform_bson": function})()


def refuse(codec: Any, value: Any) -> Any:
    raise ArithmeticError(repr(value))


def mark(codec: Any, value: Any) -> Any:
    return ("read", type(value).__name__, value)


def refuse_some(codec: Any, value: Any) -> Any:
    if len(value) % 3 == 1:
        raise ZeroDivisionError
    return value


def endless(value: Any) -> Any:
    """The encoder of Decimal makes Money of it, this makes a Decimal of Money."""
    return decimal.Decimal(value.cents) if isinstance(value, Money) else Money(1)


REGISTRIES = (
    *(TypeRegistry(),) * 6,
    TypeRegistry([MoneyCodec()]),
    TypeRegistry(
        [
            encoder(decimal.Decimal, lambda codec, value: bson.Decimal128(value)),
            encoder(set, lambda codec, value: sorted(value)),
            encoder(datetime.date, lambda codec, value: {"date": value.isoformat()}),
            encoder(complex, lambda codec, value: 2**70),
            encoder(bytearray, lambda codec, value: bytes(value)),
            encoder(Money, refuse),
        ]
    ),
    TypeRegistry([decoder(of, mark) for of in (str, bson.Int64, bson.DBRef, datetime.datetime)]),
    TypeRegistry(
        [decoder(of, mark) for of in (dict, list, int, bytes, type(None), RawBSONDocument)]
    ),
    TypeRegistry([decoder(str, refuse_some), decoder(dict, refuse_some)]),
    TypeRegistry([decoder(float, refuse), decoder(bson.Binary, refuse)]),
    TypeRegistry([decoder(bson.Code, mark), decoder(bson.ObjectId, lambda codec, value: None)]),
    TypeRegistry(fallback_encoder=fallback),
    TypeRegistry([MoneyCodec()], fallback),
    TypeRegistry(fallback_encoder=lambda value: {"made": [str(type(value))]}),
    TypeRegistry(fallback_encoder=lambda value: object()),
    TypeRegistry(fallback_encoder=lambda value: refuse(None, "value")),
    TypeRegistry([encoder(Money, lambda codec, value: decimal.Decimal(1))], endless),
    TypeRegistry([encoder(decimal.Decimal, lambda codec, value: Money(1))], endless),
)
