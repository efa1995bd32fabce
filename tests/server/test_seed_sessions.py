"""The tutorials' programs that decorate functions with sessions and that list sessions, run as they
were written: only imports and the server's address are changed.

FERROMONGO_SEEDS is the directory of these texts, which are not part of the project.
"""

import os
import re
from pathlib import Path

import pytest
from tests.drivers import ferromongo_only

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("FERROMONGO_SEEDS", ROOT.parent / "shared" / "seeds"))

pytestmark = [
    ferromongo_only,
    pytest.mark.skipif(not [*FOLDER.glob("00*")], reason=f"no tutorials in {FOLDER}"),
]


def programs(number):
    (path,) = FOLDER.glob(f"{number}_*")
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.S | re.M)


@pytest.fixture
def run(mongodb_uri, client):
    """Runs a program and answers its names; its database is gone afterwards."""
    ran = []

    def run(program, **names):
        program = re.sub(r"^from pymongo\b", "from ferromongo", program, flags=re.M)
        program = re.sub(r"^import pymongo$", "import ferromongo as pymongo", program, flags=re.M)
        program = re.sub(r"mongodb://localhost:27017/?", mongodb_uri, program)
        ran.append(names)
        exec(compile(program, "tutorial", "exec"), names)
        return names

    yield run
    for names in ran:
        names["client"].close()
    client.drop_database("mydatabase")


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_session_as_a_decorator(run, number):
    connecting, program = programs("001")[0], programs("001")[number]
    # The first of the three takes the client of an earlier part.
    names = run(program, **run(connecting))
    collection = names["client"].mydatabase.mycollection
    for times in (1, 2):
        assert names["perform_transaction"]() is None
        assert collection.count_documents({"name": "John Doe"}) == times


def test_transactions_in_listed_sessions(run, client):
    documents = client.mydatabase.collection
    documents.insert_one({"name": "Jane Doe"})
    names = run(programs("002")[1])
    assert len(names["failed_sessions"]) == documents.count_documents({"name": "John Doe"}) > 0
    assert documents.find_one({"name": "Jane Doe"})["age"] == 30
