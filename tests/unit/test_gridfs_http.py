"""`response_head`, by RFC 9110: conditions in order (13.2.2), ranges (14), If-Range (13.1.5)."""

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from ferromongo.gridfs.http import byte_range, entity_tag, response_head

STORED = datetime(2026, 11, 30, 12, 0, 5, 678000, tzinfo=UTC)
NOW = STORED + timedelta(hours=1)
FILE = SimpleNamespace(_id=7, filename="tea.txt", length=1000, upload_date=STORED)
TAG = entity_tag(FILE)
DATE = "Mon, 30 Nov 2026 12:00:05 GMT"
BEFORE, AFTER = "Mon, 30 Nov 2026 12:00:04 GMT", "Mon, 30 Nov 2026 12:00:06 GMT"


def head(method="GET", file=FILE, now=NOW, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return response_head(file, given, method, now=now)


def test_a_whole_file():
    found = head()
    assert (found.status, found.start, found.end) == (200, 0, 1000)
    assert found.headers == {
        "ETag": TAG,
        "Accept-Ranges": "bytes",
        "Last-Modified": DATE,
        "Content-Type": "text/plain",
        "Content-Length": "1000",
    }


def test_head_has_the_headers_and_no_body():
    found = head("HEAD", Range="bytes=0-9")
    assert found.headers == head().headers
    assert (found.status, found.start, found.end) == (200, 0, 0)


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-499", 0, 500),
        ("bytes=500-999", 500, 1000),
        ("bytes=500-", 500, 1000),
        ("bytes=-500", 500, 1000),
        ("bytes=-1", 999, 1000),
        # Longer than the file: what there is of it.
        ("bytes=999-5000", 999, 1000),
        ("bytes=-5000", 0, 1000),
        ("bytes=0-" + "9" * 5000, 0, 1000),
        # The unit has no case, and a list may have empty elements.
        ("BYTES=1-2", 1, 3),
        ("bytes= 1-2 ,", 1, 3),
    ],
)
def test_a_range(asked, first, end):
    found = head(Range=asked)
    assert (found.status, found.start, found.end) == (206, first, end)
    assert found.headers["Content-Range"] == f"bytes {first}-{end - 1}/1000"
    assert found.headers["Content-Length"] == str(end - first)
    assert found.headers["ETag"] == TAG


@pytest.mark.parametrize(
    "asked", ["bytes=1000-", "bytes=1000-2000", "bytes=-0", "bytes=" + "9" * 5000 + "-"]
)
def test_a_range_beyond_the_file(asked):
    found = head(Range=asked)
    assert (found.status, found.start, found.end) == (416, 0, 0)
    assert found.headers["Content-Range"] == "bytes */1000"
    assert found.headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    "ignored",
    [
        "bytes=0-1,5-6",  # several
        "bytes=5-4",  # ends before it starts
        "bytes=-", "bytes=", "bytes", "bytes=a-b", "bytes=1", "bytes=--1", "bytes=1-2-3",
        "bytes=\u0661-\u0662",  # digits of another script
        "lines=0-1",
    ],
)  # fmt: skip
def test_what_is_no_single_range_gets_the_whole_file(ignored):
    assert head(Range=ignored) == head()


def test_ranges_of_an_empty_file():
    empty = SimpleNamespace(_id=7, filename="a", length=0, upload_date=STORED)
    assert head(file=empty, Range="bytes=0-").status == 416
    assert head(file=empty, Range="bytes=-0").status == 416
    # Satisfiable by the RFC, and there is no Content-Range that says so.
    found = head(file=empty, Range="bytes=-5")
    assert (found.status, found.headers["Content-Length"]) == (200, "0")
    assert byte_range("bytes=-5", 0) is None


@pytest.mark.parametrize(
    "listed", [TAG, f"W/{TAG}", "*", f'"other", {TAG}', f'W/"a,b",{TAG}', " * "]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_client_that_has_this_version(method, listed):
    found = head(method, If_None_Match=listed, Range="bytes=1-2")
    assert (found.status, found.start, found.end) == (304, 0, 0)
    assert found.headers == {"ETag": TAG, "Accept-Ranges": "bytes", "Last-Modified": DATE}


@pytest.mark.parametrize("listed", ['"other"', TAG.strip('"'), "", f'"{TAG[1:-1]}x"'])
def test_a_client_that_has_another_version(listed):
    assert head(If_None_Match=listed).status == 200
    # The date counts only where there is no tag.
    assert head(If_None_Match=listed, If_Modified_Since=DATE).status == 200


@pytest.mark.parametrize(
    ("since", "status"), [(DATE, 304), (AFTER, 304), (BEFORE, 200), ("x", 200)]
)
def test_if_modified_since(since, status):
    assert head(If_Modified_Since=since).status == status


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If_Match": TAG}, 200),
        ({"If_Match": "*"}, 200),
        ({"If_Match": f"W/{TAG}"}, 412),  # a strong comparison
        ({"If_Match": '"other"'}, 412),
        ({"If_Match": '"other"', "If_None_Match": TAG}, 412),
        ({"If_Match": TAG, "If_None_Match": TAG}, 304),
        ({"If_Unmodified_Since": DATE}, 200),
        ({"If_Unmodified_Since": BEFORE}, 412),
        ({"If_Unmodified_Since": "x"}, 200),
        ({"If_Match": TAG, "If_Unmodified_Since": BEFORE}, 200),
    ],
)
def test_conditions_of_the_version(conditions, status):
    assert head(**conditions).status == status


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (TAG, 206),
        (f"W/{TAG}", 200),
        ('"other"', 200),
        (DATE, 206),
        (AFTER, 200),  # not the very date
        (BEFORE, 200),
        ("x", 200),
    ],
)
def test_if_range(condition, status):
    assert head(If_Range=condition, Range="bytes=1-2").status == status
    assert head(If_Range=condition).status == 200
    # A range that does not count is not beyond the file either.
    beyond = head(If_Range=condition, Range="bytes=1000-").status
    assert beyond == (416 if status == 206 else 200)


def test_a_date_may_be_that_of_another_version_within_its_second():
    soon = STORED.replace(microsecond=999000)
    assert head(now=soon, If_Range=DATE, Range="bytes=1-2").status == 200
    assert head(now=soon, If_Range=TAG, Range="bytes=1-2").status == 206


def test_tags_are_of_one_version():
    changes = {"_id": 8, "length": 999, "upload_date": STORED + timedelta(milliseconds=1)}
    for name, value in changes.items():
        assert entity_tag(SimpleNamespace(**{**vars(FILE), name: value})) != TAG
    assert entity_tag(SimpleNamespace(**vars(FILE))) == TAG


@pytest.mark.parametrize(
    "stored",
    [
        STORED.replace(tzinfo=None),  # of a client that is not tz_aware
        STORED.astimezone(timezone(timedelta(hours=5))),
    ],
)
def test_dates_are_in_utc(stored):
    file = SimpleNamespace(**{**vars(FILE), "upload_date": stored})
    assert head(file=file).headers["Last-Modified"] == DATE
    assert entity_tag(file) == TAG
    assert head(file=file, If_Modified_Since="Mon, 30 Nov 2026 12:00:05 -0000").status == 304


def test_headers_of_any_case_and_twice():
    class Headers:
        def items(self):
            return [("if-none-match", '"other"'), ("IF-NONE-MATCH", TAG)]

    assert response_head(FILE, Headers()).status == 304


def test_types_and_names():
    nameless = SimpleNamespace(_id=1, filename=None, length=1, upload_date=None)
    found = response_head(nameless, {"If-Modified-Since": DATE}, disposition="inline")
    assert found.headers["Content-Type"] == "application/octet-stream"
    assert found.headers["Content-Disposition"] == "inline"
    assert "Last-Modified" not in found.headers
    hostile = SimpleNamespace(**{**vars(FILE), "filename": 'ä"\r\nSet-Cookie: a/b.png'})
    found = response_head(hostile, {}, content_type="image/png", disposition="attachment")
    assert found.headers["Content-Type"] == "image/png"
    assert found.headers["Content-Disposition"] == (
        "attachment; filename*=UTF-8''%C3%A4%22%0D%0ASet-Cookie%3A%20a%2Fb.png"
    )
    with pytest.raises(ValueError, match="disposition"):
        response_head(FILE, {}, disposition="other")
