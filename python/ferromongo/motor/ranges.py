"""The Range header of HTTP, as far as file servers answer it."""

from __future__ import annotations

from ferromongo.gridfs import http


def byte_range(header: str, length: int) -> tuple[int, int] | None:
    """The first byte and the end of the range; ValueError if it lies beyond the file.

    None for what may be answered with the whole file: several ranges, other units, malformed ones.
    """
    part = http.byte_range(header, length)
    if part is None:
        return None
    if not part:
        raise ValueError(f"{header!r} lies beyond {length} bytes")
    return part.start, part.stop
