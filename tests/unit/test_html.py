"""What notebooks show: escaped, cut and bounded, whatever is in it."""

import datetime
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from bson import Binary, ObjectId, encode
from bson.raw_bson import RawBSONDocument
from pymongo.results import (
    BulkWriteResult,
    ClientBulkWriteResult,
    DeleteResult,
    InsertManyResult,
    InsertOneResult,
    UpdateResult,
)

import ferromongo
from ferromongo._calls import html
from ferromongo._calls.transaction_entries import entry as transaction_entry
from ferromongo.transaction_log import TransactionFailure

HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=alert(1)>&amp;\ud800"


class Tags(HTMLParser):
    """The tags and the text of a document; cells have one attribute, of ours."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = set(), ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        assert attributes == ([("style", "text-align: left")] if tag in ("td", "th") else [])
        self.found.add(tag)

    def handle_data(self, data):
        self.text += data


OURS = {"div", "b", "table", "caption", "thead", "tbody", "tr", "th", "td"}


def shown(text):
    text.encode()  # no lone surrogates
    tags = Tags(text)
    assert tags.found <= OURS
    return tags.text


class Hostile:
    def __repr__(self):
        return HOSTILE


class Broken:
    def __repr__(self):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "value",
    [
        HOSTILE,
        {HOSTILE: HOSTILE},
        [HOSTILE],
        Hostile(),
        Broken(),
        {"a": {"b": {HOSTILE: [Hostile()]}}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_documents_are_escaped(value):
    text = shown(html.documents([{HOSTILE: value, "name": value}]))
    assert "name" in text


def test_queries_are_escaped():
    client = ferromongo.MongoClient(connect=False)
    cursor = client.a[HOSTILE].find({HOSTILE: HOSTILE}, {HOSTILE: 1}).hint(HOSTILE)
    assert "not sent" in shown(cursor._repr_html_())
    asynchronous = ferromongo.AsyncMongoClient().a[HOSTILE].find({HOSTILE: HOSTILE})
    assert "not sent" in shown(asynchronous._repr_html_())


def test_results_are_escaped():
    assert "acknowledged" in shown(html.result(InsertOneResult(HOSTILE, True)))
    assert "upserted" in shown(html.result(UpdateResult({"n": 1, "upserted": Hostile()}, True)))


@pytest.mark.parametrize(
    "value",
    [
        "x" * 50_000_000,
        b"x" * 50_000_000,
        Binary(b"x" * 50_000_000),
        list(range(1_000_000)),
        {str(n): n for n in range(100_000)},
        [[["x" * 100] * 1000] * 1000] * 1000,
        RawBSONDocument(encode({"data": b"x" * 1_000_000})),
        10**4000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_large_values_are_cut(value):
    assert len(html.text(value)) < 300
    assert len(html.documents([{"a": value, "b": {"c": value}}])) < 3000


def test_tables_are_bounded():
    columns = {f"column {n}": n for n in range(1000)}
    text = html.documents({**columns, "row": n} for n in range(10**9))
    assert text.count("<tr>") <= 13
    assert "column 11" in text
    assert "column 12" not in text
    assert text.count(html.ELLIPSIS) == 2


def test_documents_of_other_shapes():
    raw = RawBSONDocument(encode({"_id": 1, "a": [1, 2]}))
    text = shown(html.documents([{"_id": ObjectId(b"twelve bytes")}, raw, b"a raw batch" * 100]))
    assert "ObjectId" in text
    assert "[1, 2]" in text
    assert "1100 bytes" in text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (InsertOneResult(5, True), "acknowledgedTrueinserted id5"),
        (InsertOneResult(5, False), "acknowledgedFalseinserted id5"),
        (InsertManyResult([5, 6], True), "acknowledgedTrueinserted ids[5, 6]"),
        (DeleteResult({"n": 2}, True), "acknowledgedTruedeleted count2"),
        (DeleteResult({}, False), "acknowledgedFalse"),
        (
            UpdateResult({"n": 1, "nModified": 1}, True),
            "acknowledgedTruematched count1modified count1",
        ),
        (
            BulkWriteResult(
                {"nInserted": 1, "nMatched": 2, "nModified": 2, "nRemoved": 3, "nUpserted": 0}
                | {"upserted": []},
                True,
            ),
            "acknowledgedTrueinserted count1matched count2modified count2deleted count3"
            "upserted count0",
        ),
        (
            ClientBulkWriteResult(
                {"nInserted": 1, "nMatched": 2, "nModified": 2, "nDeleted": 3, "nUpserted": 0},
                True,
                False,
            ),
            "acknowledgedTrueinserted count1matched count2modified count2deleted count3"
            "upserted count0",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_results(result, text):
    if isinstance(result, str):
        return
    assert shown(html.result(result)) == type(result).__name__ + text


def test_clients_show_no_secrets():
    client = ferromongo.MongoClient("mongodb://someone:secret@a.invalid,b.invalid/", connect=False)
    text = shown(client._repr_html_())
    assert "a.invalid:27017" in text
    assert "secret" not in text
    client.close()
    assert "closed" in shown(client._repr_html_())


def test_no_notebook_is_imported():
    program = "import ferromongo, sys; assert 'IPython' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_transaction_log_is_a_table_of_the_newest():
    statement = {"command": HOSTILE[:40], "ns": "shop.orders"}
    log = ferromongo.TransactionLog()
    for number in range(12):
        document = {
            "lsid": Binary(bytes(16), 4),
            "txnNumber": number,
            "state": "committing",
            "started": datetime.datetime(2026, 11, 30, 12, number),
            "statements": [statement] * number,
        }
        log.resolve(
            transaction_entry(encode(document)), "aborted", TransactionFailure(HOSTILE[:40])
        )
    shown = Tags(log._repr_html_())
    assert "script" not in shown.found
    assert "12 transactions" in shown.text
    assert "12:11:00" in shown.text
    assert "12:01:00" not in shown.text
    assert f"{HOSTILE[:40]} shop.orders (11)" in shown.text
    assert Tags(ferromongo.TransactionLog()._repr_html_()).text.startswith("TransactionLog: 0")
