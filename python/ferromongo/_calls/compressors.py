"""The `compressors` option: PyMongo's rules, but for packages that need not be installed.

PyMongo's validator drops snappy and zstd unless other packages are there; here all three are
built in. So it is asked only about names that nobody knows, and never sees those in a URI.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from inspect import signature
from typing import Any
from urllib.parse import unquote_plus

from pymongo import common, compression_support


def validate_compressors(value: str | Iterable[str], from_uri: bool = False) -> list[str]:
    """The known names in their order; PyMongo warns of the others.

    It names them, unless they come from a URI: they may be parts of a password there.
    """
    names = value.split(",") if hasattr(value, "split") else list(value)
    unknown = [name for name in names if name not in BUILT_IN]
    if from_uri and "from_uri" in _PARAMETERS:  # since PyMongo 4.20.1
        _validate("compressors", unknown, from_uri=True)
    else:
        common.validate("compressors", unknown)
    return [name for name in names if name in BUILT_IN]


def parse_with_compressors(uri: str, parse: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """What `parse` (a function of PyMongo's) makes of the URI, with its compressors validated here.

    What PyMongo always has stands in for them, so that all else about the option stays PyMongo's.
    """
    address, mark, query = uri.partition("?")
    separator = "&" if "&" in query else ";"
    options = query.split(separator)
    given = []
    for index, option in enumerate(options):
        name, _, value = option.partition("=")
        if name.lower() == "compressors" and value and "=" not in value:
            given.append(value)
            options[index] = f"{name}=zlib"
    parsed = parse(address + mark + separator.join(options))
    if given:
        parsed["options"]["compressors"] = validate_compressors(unquote_plus(given[-1]), True)
    return parsed


_validate: Any = compression_support.validate_compressors
_PARAMETERS = signature(_validate).parameters
BUILT_IN = ("snappy", "zlib", "zstd")
