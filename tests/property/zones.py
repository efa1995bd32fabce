"""Time zones: real ones, odd offsets, and some that fail."""

from __future__ import annotations

import datetime
import zoneinfo
from typing import Any

import bson
from tests.parity.sample_values import UTC


class Zone(datetime.tzinfo):
    """Any offset, even none, or an error."""

    def __init__(self, offset: Any) -> None:
        self.offset = offset

    def utcoffset(self, moment: Any) -> Any:
        if self.offset == "error":
            raise LookupError
        return self.offset

    def tzname(self, moment: Any) -> str:
        return "somewhere"

    def dst(self, moment: Any) -> Any:
        return None

    def __repr__(self) -> str:
        return f"Zone({self.offset!r})"


def fixed(**offset: float) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(**offset))


ZONES = (
    None,
    None,
    UTC,
    bson.utc,
    zoneinfo.ZoneInfo("Europe/Paris"),
    zoneinfo.ZoneInfo("Australia/Lord_Howe"),
    fixed(hours=-3, minutes=-30),
    fixed(hours=14),
    fixed(microseconds=500),
    fixed(hours=-23, minutes=-59, seconds=-59, microseconds=-999999),
    Zone(None),
    Zone(datetime.timedelta(hours=1)),
    Zone("error"),
)

DECODING_ZONES: tuple[Any, ...] = (
    None,
    None,
    UTC,
    bson.utc,
    zoneinfo.ZoneInfo("Europe/Paris"),
    zoneinfo.ZoneInfo("Asia/Kathmandu"),
    fixed(hours=-12),
    fixed(hours=14),
    fixed(seconds=-1),
    Zone(None),
    Zone("error"),
    Zone("no timedelta"),
)
