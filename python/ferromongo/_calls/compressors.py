"""The `compressors` option: PyMongo's rules, but for packages that need not be installed.

PyMongo's validator drops snappy and zstd unless other packages are there; here all three are
built in. So it is asked only about names that nobody knows, and never sees those in a URI.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote_plus

from pymongo import common


def validate_compressors(value: str | Iterable[str]) -> list[str]:
    """The known names in their order; PyMongo warns of the others."""
    names = value.split(",") if isinstance(value, str) else list(value)
    unknown = [name for name in names if name not in BUILT_IN]
    common.validate("compressors", unknown)
    return [name for name in names if name in BUILT_IN]


def parse_with_compressors(uri: str, parse: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """What `parse`, PyMongo's in one way or another, makes of the URI."""
    address, mark, query = uri.partition("?")
    given = _OPTION.findall(query)
    # What PyMongo always has stands in, so that all else about the option stays PyMongo's.
    query = _OPTION.sub("zlib", query)
    parsed = parse(address + mark + query)
    if given:
        parsed["options"]["compressors"] = validate_compressors(unquote_plus(given[-1]))
    return parsed


BUILT_IN = ("snappy", "zlib", "zstd")
_OPTION = re.compile(r"(?i)(?:(?<=^compressors=)|(?<=[&;]compressors=))[^&;]+")
