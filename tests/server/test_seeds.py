"""The programs of the tutorials in FERROMONGO_SEEDS run as they are written, but for their imports.

Left alone are the MongoDB shell's sessions (no Python). The views of the Django article are in
examples/django_project, whose own tests call each of them (test_example_django.py). What a text
leaves open (a URI, a user, names that an earlier part has made) is filled in; a program that
PyMongo cannot run either is mended as little as it takes, and says so. With
FERROMONGO_TEST_DRIVER=pymongo the programs run unchanged, on PyMongo.
"""

import ast
import concurrent.futures
import logging
import os
import re
import threading
from pathlib import Path

import pymongo
import pytest
from pymongo.errors import ConnectionFailure, OperationFailure
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern
from tests.drivers import DRIVER_NAME, ferromongo_only

from ferromongo import TransactionLog
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
    root = logging.getLogger()
    level, handlers = root.level, root.handlers[:]

    def run(program, **names):
        program = re.sub(r"(['\"])mongodb://localhost:27017/?\1", repr(mongodb_uri), program)
        names = {"__name__": "__main__", **names}
        ran.append(names)
        exec(compile(with_imports_changed(program), "<tutorial>", "exec"), names)
        return names

    yield run
    root.setLevel(level)  # a program may call basicConfig
    root.handlers[:] = handlers
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


def test_a_transaction_is_committed_within_its_block(run, caplog):
    client = run(fenced("002", 0))["client"]
    [john] = client.mydatabase.collection.find({}, {"_id": 0})
    assert john == {"name": "John Doe"}
    if DRIVER_NAME == "ferromongo":
        # The program never passes its session on: neither of its writes is in the transaction.
        said = [(record.pathname, record.getMessage().split()[0]) for record in caplog.records]
        assert said == [("<tutorial>", "insert_one()"), ("<tutorial>", "update_one()")]


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


@ferromongo_only
@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_session_decorates_a_function(number, run):
    program = fenced("001", number)
    if number == 1:
        program += "    pass\n"  # the text leaves the body out, which no Python accepts
    names = run(program, client=run(fenced("001", 0))["client"])
    names["perform_transaction"]()
    written = [person["name"] for person in names["client"].mydatabase.mycollection.find()]
    assert written == (["John Doe"] if number > 1 else [])


@ferromongo_only
def test_listed_sessions_take_transactions(run):
    client = run(fenced("001", 0))["client"]
    with client.start_session() as session:
        client.mydatabase.other.find_one(session=session)  # now the server knows one
        run(fenced("002", 1))
    people = client.mydatabase.collection.find({}, {"_id": 0})
    assert list(people)[:1] == [{"name": "John Doe"}]


def logged(program, list_failed=False):
    """The tutorial on logs and recovery, with a log; its writes are given the session."""
    program, count = re.subn(r'MongoClient\("[^"]*"', r"\g<0>, transaction_log=log", program)
    assert count == 1
    program, count = re.subn(r"(_one\(.*)\)$", r"\1, session=session)", program, flags=re.MULTILINE)
    assert count == 2
    if list_failed:
        program = program.replace("list_sessions()", "list_sessions(failed=True)")
    return program.replace('"mongodb://localhost:27017"', "uri")


@ferromongo_only
def test_a_transaction_is_in_the_log(run, mongodb_uri, tmp_path):
    path = tmp_path / "transactions.log"
    with TransactionLog(path, capture="full") as log:
        run(logged(fenced("002", 0)), log=log, uri=mongodb_uri)
    [entry] = TransactionLog.read(path)
    assert entry.outcome == "committed"
    assert [statement.command for statement in entry.statements] == ["insert", "update"]
    assert entry.statements[0].body["documents"][0]["name"] == "John Doe"


@ferromongo_only
def test_a_failed_transaction_is_recovered(run, mongodb_uri, mongodb_replica_set, tmp_path):
    with TransactionLog(tmp_path / "transactions.log") as log:
        # The first program fails: another process has one of its documents.
        program = logged(fenced("002", 0))
        with pymongo.MongoClient(mongodb_uri) as other:
            people = other.mydatabase.collection
            people.insert_one({"name": "Jane Doe"})
            with other.start_session() as session, session.start_transaction():
                people.update_one({"name": "Jane Doe"}, {"$set": {"age": 1}}, session=session)
                with pytest.raises(OperationFailure, match="WriteConflict"):
                    run(program, log=log, uri=mongodb_uri)
            # And once more, in doubt: the line is cut at its commit.
            cut = {"failCommands": ["commitTransaction"], "closeConnection": True, "times": 2}
            with mongodb_replica_set.failpoint(**cut), pytest.raises(ConnectionFailure):
                run(program, log=log, uri=mongodb_uri)
            assert [entry.outcome for entry in log] == ["aborted", "unknown"]
            # The second program runs the first again, and finds that the other was committed.
            for _ in range(2):
                run(logged(fenced("002", 1), list_failed=True), log=log, uri=mongodb_uri)
                assert people.count_documents({"name": "John Doe"}) == 2
            assert people.find_one({"name": "Jane Doe"})["age"] == 30
        assert [(entry.outcome, entry.replayed) for entry in log] == [
            ("aborted", True),
            ("committed", False),
            ("committed", False),
        ]


@pytest.mark.filterwarnings("ignore:GridOut property 'md5':DeprecationWarning")
def test_a_file_is_stored_read_and_deleted(run, database, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    program = between("000", "import gridfs", "GridFS 작업 중 오류 발생")
    # What it shows as comments: it deletes the file, and asks whether that exists.
    program = re.sub(r"# (?=fs\.delete|print\(f)", "", program)
    names = run(program, db=database)
    printed = capsys.readouterr().out
    for line in (
        f"파일 업로드 성공, File ID: {names['file_id']} (ObjectId)",
        f"  길이: {(tmp_path / 'my_document.txt').stat().st_size} bytes",
        "  MD5: None",
        "  인코딩: utf-8",
        "  업로더: Alice",
        "이것은 GridFS에 저장될 문서입니다. 여...",
        f"파일 ID '{names['file_id']}' 삭제 완료.",
        "파일 'important_document.txt' 존재 여부: False",
        f"파일 ID '{names['file_id']}' 존재 여부: False",
    ):
        assert line in printed.splitlines()
    assert names["grid_out_file"].filename == "important_document.txt"


def test_changes_are_watched(run, database, client, capsys):
    program = between("000", 'pipeline = [{"$match"', "Change Streams 작업 중 오류")
    done = threading.Event()

    def change():
        while not done.wait(0.1):
            database.users.insert_one({"name": "실시간테스트", "change_stream_test": True})

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        job = pool.submit(change)
        try:
            names = {"monitored_collection": database.users, "COLLECTION_NAME": "users"}
            names = run(program, pymongo=pymongo, **names)
        finally:
            done.set()
        job.result()
    assert names["change"]["operationType"] == "insert"
    assert names["change"]["fullDocument"]["name"] == "실시간테스트"
    printed = capsys.readouterr().out
    assert f"변경 사항 감지:\n{names['change']}\nChange Streams 감시 종료" in re.sub(
        r"\n\s+", "\n", printed
    )


def test_motor_finds_what_it_inserted(run, mongodb_uri, client, capsys):
    program = between("000", "import asyncio", "client.close()") + "\nasyncio.run(do_motor_stuff())"
    program, count = re.subn(r'"mongodb\+srv://[^"]*"', repr(mongodb_uri), program)
    assert count == 1
    try:
        run(program)
        assert "Motor로 찾은 문서: {'_id': ObjectId(" in capsys.readouterr().out
        assert client.myAppDB["users_python_외전"].find_one()["name"] == "MotorTest"
    finally:
        client.drop_database("myAppDB")


def test_the_views_of_the_django_article_are_in_the_example():
    """As they are written, but for the line breaks that the text has lost."""
    path = ROOT / "examples" / "django_project" / "users" / "views.py"
    views = {
        node.name: ast.unparse(node)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    text = " ".join(TEXTS["004"].split()).replace('"', "'")
    names = re.findall(r"def (\w+)\(request\)", text)
    assert len(names) == 6
    for name in names:
        assert " ".join(views[name].split()) in text
    assert text.count("from django.db import transaction") == 2


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
