"""Files of GridFS over HTTP: the status, the headers and the range of bytes of a response.

    from ferromongo.gridfs.http import response_head

    file = await bucket.open_download_stream_by_name(name)
    head = response_head(file, request.headers, request.method)
    return StreamingResponse(file.iter_chunks(head.start, head.end), head.status, head.headers)

It decides by RFC 9110 and sends nothing, so any framework will do, synchronous ones too. PyMongo
has no counterpart.
"""

from __future__ import annotations

import hashlib
import mimetypes
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import quote

__all__ = ["ResponseHead", "entity_tag", "response_head"]


class ResponseHead(NamedTuple):
    """What comes before the body of a response, and which bytes of the file the body has."""

    status: int
    """200; 206 for a range, 304 if the client has this version, 412 if a condition of the request
    is not met, 416 for a range beyond the file."""
    headers: dict[str, str]
    """Content-Length among them, where there is a body."""
    start: int
    """The position of the first byte to be sent."""
    end: int
    """The position after the last one; the same as `start` if there is no body."""


def response_head(
    file: Any,
    request_headers: Mapping[str, str],
    method: str = "GET",
    *,
    content_type: str | None = None,
    disposition: str | None = None,
    now: datetime | None = None,
) -> ResponseHead:
    """How to respond to a GET or HEAD request for a file.

        head = response_head(file, {"Range": "bytes=0-99"})
        print(head.status, head.headers["Content-Range"])

    If-Match, If-Unmodified-Since, If-None-Match, If-Modified-Since, Range and If-Range are heeded,
    in the order that the RFC prescribes. A request for several ranges gets the whole file, as does
    a malformed one: both may be ignored.

    :param file: a GridOut or AsyncGridOut that is open
    :param request_headers: by name in upper or lower case; the framework's object will do
    :param method: ranges are for GET only; HEAD has no body
    :param content_type: the Content-Type; guessed by the file's name if not given
    :param disposition: `"attachment"` or `"inline"`, for a Content-Disposition with the file's name
    :param now: the time of the response; the current time if not given

    Returns a `ResponseHead`. Raises ValueError for another disposition.
    """
    given = _by_lower_name(request_headers)
    length, tag, modified = file.length, entity_tag(file), _modified(file)
    headers = {"ETag": tag, "Accept-Ranges": "bytes"}
    if modified is not None:
        headers["Last-Modified"] = format_datetime(modified, usegmt=True)
    if not _is_wanted_version(given, tag, modified):
        return ResponseHead(412, {**headers, "Content-Length": "0"}, 0, 0)
    if _has_version(given, tag, modified):
        return ResponseHead(304, headers, 0, 0)
    headers["Content-Type"] = content_type or _guessed_type(file.filename)
    if disposition is not None:
        headers["Content-Disposition"] = _disposition(disposition, file.filename)
    status, start, end = 200, 0, length
    if method == "GET" and _may_be_range(given, tag, modified, now or datetime.now(UTC)):
        part = byte_range(given["range"], length)
        if part is not None and not part:
            headers |= {"Content-Range": f"bytes */{length}", "Content-Length": "0"}
            return ResponseHead(416, headers, 0, 0)
        if part is not None:
            status, start, end = 206, part.start, part.stop
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{length}"
    headers["Content-Length"] = str(end - start)
    return ResponseHead(status, headers, start, start if method == "HEAD" else end)


def entity_tag(file: Any) -> str:
    """The ETag of a file, with its quotes: a strong one, as what was stored does not change.

    It is made of the `_id`, the length and the time of the upload, since an `_id` may be given
    again to another file.

    :param file: a GridOut or AsyncGridOut that is open
    """
    facts = f"{file._id!r} {file.length} {_stored(file)}"
    return f'"{hashlib.blake2b(facts.encode(), digest_size=16).hexdigest()}"'


def byte_range(header: str, length: int) -> range | None:
    """The positions that a Range header asks for; an empty range if the file has none of them.

    None if the whole file is to be sent: for several ranges, other units and malformed headers.
    """
    unit, _, ranges = header.partition("=")
    found = re.fullmatch(r"[ \t,]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t,]*", ranges)
    if unit.strip().lower() != "bytes" or found is None or found.groups() == ("", ""):
        return None
    first, last = (_number(digits) for digits in found.groups())
    if first is None:
        assert last is not None
        if not length and last:
            return None  # all of nothing, for which there is no Content-Range
        return range(max(length - last, 0), length)
    if last is not None and last < first:
        return None
    # An empty range is empty wherever it is.
    return range(first, length if last is None else min(last + 1, length))


def _is_wanted_version(given: Mapping[str, str], tag: str, modified: datetime | None) -> bool:
    if "if-match" in given:
        return _lists(given["if-match"], tag, weak=False)
    limit = _date(given.get("if-unmodified-since"))
    return limit is None or modified is None or modified <= limit


def _has_version(given: Mapping[str, str], tag: str, modified: datetime | None) -> bool:
    if "if-none-match" in given:
        return _lists(given["if-none-match"], tag, weak=True)
    since = _date(given.get("if-modified-since"))
    return since is not None and modified is not None and modified <= since


def _may_be_range(
    given: Mapping[str, str], tag: str, modified: datetime | None, now: datetime
) -> bool:
    """Whether there is a Range to be heeded: with If-Range, only one of this very version."""
    if "range" not in given:
        return False
    condition = given.get("if-range")
    if condition is None or condition.strip() == tag:
        return True
    # Within a second of the upload, another version could have the same date.
    date = _date(condition)
    return date is not None and date == modified and (now - date).total_seconds() >= 1


def _lists(header: str, tag: str, weak: bool) -> bool:
    """Whether a header has the tag. A weak tag of the client is equal for If-None-Match only."""
    if header.strip() == "*":
        return True
    found = re.findall(r'(W/)?("[^"]*")', header)
    return any(one == tag and (weak or not prefix) for prefix, one in found)


def _modified(file: Any) -> datetime | None:
    """HTTP's dates have whole seconds."""
    date = _stored(file)
    return None if date is None else date.replace(microsecond=0)


def _stored(file: Any) -> datetime | None:
    date: datetime | None = file.upload_date
    return None if date is None else _utc(date)


def _date(header: str | None) -> datetime | None:
    """None also for what is no date, which is ignored."""
    try:
        date = parsedate_to_datetime(header or "")
    except (ValueError, TypeError, OverflowError):
        return None
    return _utc(date)


def _utc(date: datetime) -> datetime:
    """Dates of a client that is not tz_aware are in UTC, as are HTTP's with an unknown zone."""
    return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)


def _number(digits: str) -> int | None:
    # No file has 10 ** 18 bytes, and int() refuses thousands of digits.
    return None if not digits else int(digits) if len(digits) < 19 else 10**18


def _guessed_type(filename: str | None) -> str:
    return mimetypes.guess_type(filename or "")[0] or "application/octet-stream"


def _disposition(kind: str, filename: str | None) -> str:
    if kind not in ("attachment", "inline"):
        raise ValueError(f'disposition must be "attachment" or "inline", not {kind!r}')
    return f"{kind}; filename*=UTF-8''{quote(filename, safe='')}" if filename else kind


def _by_lower_name(headers: Mapping[str, str]) -> dict[str, str]:
    """A header that came twice is a list."""
    found: dict[str, str] = {}
    items: Iterable[tuple[str, str]] = headers.items()
    for name, value in items:
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found
