"""The Range header of HTTP, as far as file servers answer it."""

from __future__ import annotations

import re


def byte_range(header: str, length: int) -> tuple[int, int] | None:
    """The first byte and the end of the range; ValueError if it lies beyond the file.

    None for what may be answered with the whole file: several ranges, other units, malformed ones.
    """
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", header)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(length - int(last), 0), length
    else:
        start, end = int(first), min(int(last) + 1, length) if last else length
        if last and int(last) < start:
            return None
    if start >= length or start >= end:
        raise ValueError(f"{header!r} lies beyond {length} bytes")
    return start, end
