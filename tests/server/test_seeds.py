"""The programs of the tutorials in FERROMONGO_SEEDS run as they are written, but for their imports.

Left alone are the MongoDB shell's sessions (no Python) and the Django article (no MongoDB). What
a text leaves open (a URI, a user, names that an earlier part has made) is filled in; a program that
PyMongo cannot run either is mended as little as it takes, and says so. With
FERROMONGO_TEST_DRIVER=pymongo the programs run unchanged, on PyMongo.
"""

import os
import re
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import ConnectionFailure, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern
from tests.drivers import DRIVER_NAME, ferromongo_only

from ferromongo.embedded import ReplicaSet

ROOT = Path(__file__).resolve().parents[2]
SEEDS = Path(os.environ.get("FERROMONGO_SEEDS", ROOT.parent / "shared" / "seeds"))
TEXTS = {path.name[:3]: path.read_text(encoding="utf-8") for path in sorted(SEEDS.glob("*.txt"))}

pytestmark = pytest.mark.skipif(
    not TEXTS, reason=f"no tutorials in {SEEDS}: set FERROMONGO_SEEDS to their directory"
)


@pytest.fixture
def run(mongodb_uri):
    """Runs a program and answers its names; its databases are gone afterwards."""
    ran = []

    def run(program, **names):
        program = re.sub(r"(['\"])mongodb://localhost:27017/?\1", repr(mongodb_uri), program)
        names = {"__name__": "__main__", **names}
        ran.append(names)
        exec(compile(with_imports_changed(program), "<tutorial>", "exec"), names)
        return names

    yield run
    for names in ran:
        if "client" in names:
            names["client"].close()
    with pymongo.MongoClient(mongodb_uri) as client:
        client.drop_database("mydatabase")


def test_a_client_connects(run):
    client = run(fenced("001", 0))["client"]
    assert client.admin.command("ping")["ok"] == 1


def test_money_is_transferred(run, database, mongodb_uri, capsys):
    program = between("000", "from pymongo import MongoClient", "'없는사람', 50)")
    program = program.replace('"..."', repr(mongodb_uri))
    # Its last lines try it, as comments.
    program = re.sub(r"^  # (?=print)", "", program, flags=re.MULTILINE)
    names = ("유관순", "안중근", "김구")
    database.users.insert_many([{"name": name, "balance": 1000} for name in names])
    run(program, DATABASE_NAME=database.name, COLLECTION_NAME="users")
    printed = capsys.readouterr().out
    assert re.findall(r"^송금 결과.*: (\w+)$", printed, re.MULTILINE) == ["True", "False", "False"]
    balances = {user["name"]: user["balance"] for user in database.users.find()}
    # The last transfer lost 50: the error is caught within the block of the transaction, which
    # therefore commits the withdrawal. PyMongo does the same; examples/tour.py shows the cure.
    assert balances == {"유관순": 900, "안중근": 1050, "김구": 1000}


def test_a_transaction_is_committed_within_its_block(run):
    client = run(fenced("002", 0))["client"]
    [john] = client.mydatabase.collection.find({}, {"_id": 0})
    assert john == {"name": "John Doe"}


@pytest.fixture(scope="module")
def guarded_server():
    with ReplicaSet(auth=True, tls=True) as server:
        yield server


@pytest.mark.parametrize("api", ["core", "callback"])
def test_an_order_is_taken_from_stock(api, run, guarded_server, capsys):
    core, callback = TEXTS["003"].split("#!/usr/bin/env python3")[1:]
    # The text leaves its imports out, and the second program misspells a name of its own.
    names = {
        "ConnectionFailure": ConnectionFailure,
        "OperationFailure": OperationFailure,
        "ReadConcern": ReadConcern,
        "ReadPreference": ReadPreference,
        "WriteConcern": WriteConcern,
        "my_write_concern_majority": WriteConcern("majority"),
    }
    if api == "core":
        program = core.partition("위의")[0]
        # The function calls its argument by two names.
        argument = "my_session):\n    orders"
        assert argument in program
        program = program.replace(argument, "session):\n    my_session = session\n    orders")
    else:
        program = callback.partition("이전")[0]
    uri = pymongo.uri_parser.parse_uri(guarded_server.uri)
    host, port = uri["nodelist"][0]
    account = {"username": uri["username"], "password": uri["password"]}
    for name, value in {"host": host, "port": port, **account}.items():
        assert f"var_{name}=..." in program
        program = program.replace(f"var_{name}=...", f"var_{name}={value!r}")
    client = run(program, **names)["client"]
    assert sorted(order["qty"] for order in client.webshop.orders.find()) == [0, 100]
    assert [stock["qty"] for stock in client.webshop.inventory.find()] == [900]
    client.drop_database("webshop")
    assert ("Transaction committed." in capsys.readouterr().out) == (api == "core")


# What a program needs that ferromongo does not have yet (the first: that nobody has), and how it
# ends until then.
MISSING = {
    "a function's body": (SyntaxError, lambda: fenced("001", 1)),
    "a session as a decorator, 1": (TypeError, lambda: fenced("001", 2)),
    "a session as a decorator, 2": (TypeError, lambda: fenced("001", 3)),
    "a session as a decorator, 3": (TypeError, lambda: fenced("001", 4)),
    "Database.list_sessions": (TypeError, lambda: fenced("002", 1)),
    "GridFS": (ImportError, lambda: between("000", "import gridfs", "GridFS 작업 중 오류 발생")),
    "change streams": (
        NotImplementedError,
        lambda: between("000", 'pipeline = [{"$match"', "Change Streams 작업 중 오류"),
    ),
    "Motor": (
        ImportError,
        lambda: (
            between("000", "import asyncio", "client.close()") + "\nasyncio.run(do_motor_stuff())"
        ),
    ),
}


@ferromongo_only
@pytest.mark.parametrize("what", MISSING)
def test_what_is_missing_is_refused(what, run, database):
    error, program = MISSING[what]
    client = run(fenced("001", 0))["client"]
    names = {"client": client, "db": database, "monitored_collection": database.users}
    with pytest.raises(error):
        run(program(), pymongo=pymongo, COLLECTION_NAME="users", **names)


def test_every_program_is_run(run):
    """No block of Python in the tutorials is overlooked."""
    fences = {name: len(re.findall(r"^```python$", text, re.M)) for name, text in TEXTS.items()}
    assert fences == {"000": 0, "001": 5, "002": 2, "003": 0, "004": 0}
    imports = re.findall(r"^import \w+|^from (?:pymongo|motor)", TEXTS["000"], re.MULTILINE)
    assert imports == ["from pymongo", "import gridfs", "import asyncio", "import motor"]
    assert TEXTS["003"].count("import pymongo") == 2
    assert "mongo" not in TEXTS["004"].lower()


def with_imports_changed(program):
    if DRIVER_NAME == "pymongo":
        return program
    for old, new in (
        (r"^import pymongo$", "import ferromongo as pymongo"),
        (r"^from pymongo\b", "from ferromongo"),
        (r"^import gridfs$", "from ferromongo import gridfs"),
        (r"^import motor\.motor_asyncio\b", "import ferromongo.motor_asyncio, ferromongo as motor"),
    ):
        program = re.sub(old, new, program, flags=re.MULTILINE)
    return program


def fenced(text, number):
    return re.findall(r"^```python\n(.*?)^```$", TEXTS[text], re.MULTILINE | re.DOTALL)[number]


def between(text, first, last):
    """The lines from the one that starts with `first` to the next that has `last` in it."""
    start = re.search(rf"^{re.escape(first)}", TEXTS[text], re.MULTILINE).start()
    end = TEXTS[text].index("\n", TEXTS[text].index(last, start))
    return TEXTS[text][start:end]
