"""Is a document an update or a replacement? PyMongo's checks, with a short way for a dict."""

from __future__ import annotations

from typing import Any

from pymongo.common import validate_ok_for_replace, validate_ok_for_update


def check_update(update: Any) -> None:
    if type(update) is not dict or not update or not next(iter(update)).startswith("$"):
        validate_ok_for_update(update)


def check_replacement(replacement: Any) -> None:
    if type(replacement) is not dict or not replacement or next(iter(replacement)).startswith("$"):
        validate_ok_for_replace(replacement)
