"""Subclasses of the value classes that tests/parity/sample_values.py does not have."""

from __future__ import annotations

import uuid

import bson
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument


class MyUUID(uuid.UUID):
    pass


class MyDBRef(bson.DBRef):
    pass


class MyCode(bson.Code):
    pass


class MyRegex(bson.Regex):
    pass


class MyTimestamp(bson.Timestamp):
    pass


class MyDecimal128(bson.Decimal128):
    pass


class MyDatetimeMS(DatetimeMS):
    pass


class MyMaxKey(bson.MaxKey):
    pass


class MyRaw(RawBSONDocument):
    pass
