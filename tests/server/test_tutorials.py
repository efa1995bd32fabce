"""Programs of tutorials, run as they were written: imports and the server's address are changed.

FERROMONGO_TUTORIALS is a directory of such texts, which are not part of the project.
"""

import os
import re
from pathlib import Path

import pytest

FOLDER = os.environ.get("FERROMONGO_TUTORIALS", "")


def programs(number):
    """The Python programs in a tutorial's text."""
    found = sorted(Path(FOLDER).glob(f"{number}_*")) if FOLDER else []
    if not found:
        pytest.skip("FERROMONGO_TUTORIALS names no directory with this tutorial")
    return re.findall(r"^```python\n(.*?)^```", found[0].read_text(encoding="utf-8"), re.S | re.M)


def run(program, uri):
    program = re.sub(r"\bfrom pymongo import", "from ferromongo import", program)
    program = re.sub(r"\bimport pymongo\b", "import ferromongo as pymongo", program)
    program = re.sub(r"mongodb://localhost:27017/?", uri, program)
    names = {}
    exec(compile(program, "tutorial", "exec"), names)
    return names


@pytest.fixture
def my_database(client):
    client.drop_database("mydatabase")
    yield client.mydatabase
    client.drop_database("mydatabase")


def test_a_session_as_a_decorator(mongodb_uri, my_database):
    whole = [program for program in programs("001") if "MongoClient(" in program and "@" in program]
    names = run(whole[-1], mongodb_uri)
    with names["client"]:
        for times in (1, 2):
            assert names["perform_transaction"]() is None
            assert my_database.mycollection.count_documents({"name": "John Doe"}) == times


def test_transactions_in_listed_sessions(mongodb_uri, my_database, client):
    my_database.collection.insert_one({"name": "Jane Doe"})
    recovery = [program for program in programs("002") if "list_sessions" in program]
    with client.start_session() as known:
        my_database.collection.find_one(session=known)
        names = run(recovery[-1], mongodb_uri)
    with names["client"]:
        listed = names["failed_sessions"]
        assert len(listed) == my_database.collection.count_documents({"name": "John Doe"}) > 0
        assert my_database.collection.find_one({"name": "Jane Doe"})["age"] == 30
