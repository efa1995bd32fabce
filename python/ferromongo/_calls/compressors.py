"""The `compressors` option: PyMongo's rules, but for packages that need not be installed.

PyMongo's validator drops snappy and zstd unless other packages are there; here all three are
built in. So PyMongo validates only the unknown names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from pymongo import common


def validate_compressors(value: str | Iterable[str]) -> list[str]:
    """The known names in their order; PyMongo warns of the others."""
    names = value.split(",") if hasattr(value, "split") else list(value)
    common.validate("compressors", _unknown(names))
    return _known(names)


def parse_with_compressors(uri: str, parse: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """What `parse` (a function of PyMongo's) makes of the URI, with its compressors validated here.

    What PyMongo always has stands in for the known ones, so that all else about the option stays
    PyMongo's, including its warnings about unknown names in a URI.
    """
    address, mark, query = uri.partition("?")
    separator = "&" if "&" in query else ";"
    options = query.split(separator)
    given = []
    for index, option in enumerate(options):
        name, _, value = option.partition("=")
        if name.lower() == "compressors" and value and "=" not in value:
            names = unquote_plus(value).split(",")
            given.append(_known(names))
            options[index] = f"{name}={quote_plus(','.join([*_unknown(names), 'zlib']))}"
    parsed = parse(address + mark + separator.join(options))
    if given:
        parsed["options"]["compressors"] = given[-1]
    return parsed


def _known(names: list[str]) -> list[str]:
    return [name for name in names if name in BUILT_IN]


def _unknown(names: list[str]) -> list[str]:
    return [name for name in names if name not in BUILT_IN]


BUILT_IN = ("snappy", "zlib", "zstd")
