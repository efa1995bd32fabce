"""Threads with small stacks: operations work or raise, nothing crashes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import json, sys, threading
import bson
import ferromongo
from ferromongo.bson import decode, encode

kilobytes, what, uri, database = int(sys.argv[1]), *sys.argv[2:]
results = []

def use(client):
    collection = client[database].c
    collection.insert_many([{"n": n} for n in range(5)])
    collection.bulk_write([ferromongo.UpdateMany({}, {"$inc": {"n": 1}})])
    with client.start_session() as session, session.start_transaction():
        collection.insert_one({"n": 0}, session=session)
    return sorted(document["n"] for document in collection.find(batch_size=2))

def connect():
    with ferromongo.MongoClient(uri) as client:
        return use(client)

def nested(levels):
    document = {}
    for _ in range(levels - 1):
        document = {"a": document}
    return document

def outcome(work):
    try:
        results.append(work())
    except Exception as error:
        results.append(type(error).__name__)

deep = nested(900)
data = bson.encode(deep)
other = ferromongo.MongoClient(uri)
other.admin.command("ping")
works = {
    "connect": [connect],
    "use": [lambda: use(other)],
    "nest": [
        lambda: decode(data) == 0,
        lambda: encode(deep) == 0,
        lambda: decode(encode(nested(30))) == nested(30),
    ],
}
threading.stack_size(kilobytes * 1024)
for work in works[what]:
    thread = threading.Thread(target=outcome, args=(work,))
    thread.start()
    thread.join()
other.close()
print(json.dumps(results))
"""

USED = [0, 1, 2, 3, 4, 5]
CASES = [
    (32, "connect", ["ConfigurationError"]),
    (64, "connect", [USED]),
    (32, "use", [USED]),
    (64, "nest", ["InvalidBSON", "RecursionError", True]),
]


@pytest.mark.parametrize(
    ("kilobytes", "what", "expected"), CASES, ids=[f"{what} {size}" for size, what, _ in CASES]
)
def test_threads_with_small_stacks_work_or_raise(
    kilobytes, what, expected, mongodb_uri, mongodb_database_name
):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(kilobytes), what, mongodb_uri, mongodb_database_name],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert json.loads(ended.stdout) == expected
