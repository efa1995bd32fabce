"""The pytest plugin, `ferromongo_pytest`: its fixtures, and what it costs suites that use none."""

import os
import signal
import subprocess
import sys

import psutil
import pytest
from tests.drivers import wait_until

from ferromongo.embedded import ReplicaSet, find_mongod

pytest_plugins = ["pytester"]


@pytest.fixture(scope="module")
def single():
    with ReplicaSet() as replica_set:
        yield replica_set


@pytest.fixture
def run_pytest(pytester, monkeypatch):
    """Runs pytest with the plugin in a process of its own; a mongod it starts leaves a mark."""
    started = pytester.path / "started"
    wrapper = pytester.path / "mongod"
    wrapper.write_text(f'#!/bin/sh\necho $$ >> {started}\nexec {find_mongod()} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("FERROMONGO_MONGOD", str(wrapper))
    monkeypatch.delenv("FERROMONGO_TEST_URI", raising=False)

    def run(code, *options, timeout=None):
        pytester.makepyfile(code)
        options = ("-p", "no:cacheprovider", *options)
        result = pytester.runpytest_subprocess(*options, timeout=timeout)
        return result, servers(started)

    return run


@pytest.fixture
def on_the_single_server(run_pytest, single, monkeypatch):
    """The same on a server that runs."""
    monkeypatch.setenv("FERROMONGO_TEST_URI", single.uri)
    return run_pytest


DRIVERS = ("ferromongo.", "pymongo", "bson")
ASYNCIO = ("-o", "asyncio_default_fixture_loop_scope=function")


def servers(started):
    """The process ids of the mongods that were started."""
    return [int(line) for line in started.read_text().split()] if started.exists() else []


class TestCostsNothing:
    def test_no_driver_is_imported_until_a_fixture_is_asked_for(self, pytester):
        path = pytester.makepyfile(
            """
            import sys

            def test_nothing(pytestconfig):
                assert pytestconfig.pluginmanager.hasplugin("ferromongo")
                packages = {name.partition(".")[0] for name in sys.modules}
                ours = {"ferromongo", "pymongo", "bson", "gridfs", "dns", "fiftyone"}
                assert packages.isdisjoint(ours)
                assert not [name for name in sys.modules if name.startswith("ferromongo_pytest.")]
            """
        )
        # Nothing of the outer pytest: its plugins and options are not the point.
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        command = [sys.executable, "-X", "importtime", "-m", "pytest", "-q", path]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout
        imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
        assert "_pytest" in imported
        assert not {
            name for name in imported if name.startswith(("ferromongo.", "pymongo", "bson"))
        }

    def test_ferromongo_may_be_imported_before_pytest(self, pytester):
        """As `install()` at the start of a program does."""
        pytester.makepyfile("def test_nothing(): pass")
        program = (
            "import ferromongo, pytest, sys; sys.exit(pytest.main(['-W', 'error', *sys.argv[1:]]))"
        )
        options = ("-p", "no:cacheprovider", "-p", "no:asyncio")
        result = pytester.run(sys.executable, "-c", program, *options)
        result.assert_outcomes(passed=1)

    def test_no_server_is_started_until_a_fixture_is_asked_for(self, run_pytest):
        result, started = run_pytest("def test_nothing(): pass")
        result.assert_outcomes(passed=1)
        assert not started

    def test_no_server_is_started_by_workers_that_need_none(self, run_pytest):
        result, started = run_pytest("def test_nothing(): pass", "-n", "2")
        result.assert_outcomes(passed=1)
        assert not started


class TestReplicaSet:
    CODE = """
        import pytest
        from pymongo import MongoClient

        @pytest.mark.parametrize("n", [1, 2])
        def test_replica_set(n, mongodb_replica_set, mongodb_uri):
            assert mongodb_uri == mongodb_replica_set.uri
            assert len(mongodb_replica_set.members) == {members}
        """

    def test_a_session_has_one_replica_set_of_one_member(self, run_pytest):
        result, started = run_pytest(self.CODE.format(members=1))
        result.assert_outcomes(passed=2)
        assert len(started) == 1

    def test_the_number_of_members_is_an_ini_option(self, run_pytest, pytester):
        pytester.makeini("[pytest]\nmongodb_members = 3")
        result, started = run_pytest(self.CODE.format(members=3))
        result.assert_outcomes(passed=2)
        assert len(started) == 3
        for wrong in ("none", "0", "-1"):
            result, _ = run_pytest(self.CODE, "-o", f"mongodb_members={wrong}")
            result.assert_outcomes(errors=2)
            result.stdout.fnmatch_lines(["*mongodb_members must be a number from 1 on*"])

    def test_the_former_name_of_the_plugin(self, run_pytest):
        result, started = run_pytest(
            self.CODE.format(members=1),
            *("-p", "no:ferromongo", "-p", "ferromongo.embedded.pytest_plugin"),
            *("-p", "ferromongo_pytest"),
        )
        result.assert_outcomes(passed=2)
        assert len(started) == 1


class TestDatabases:
    def test_each_test_has_a_database_that_is_dropped(self, on_the_single_server):
        result, started = on_the_single_server(
            """
            import pytest
            from pymongo import MongoClient

            names = set()

            @pytest.mark.parametrize("value", ["plain", "a b/c.d", "\\u00e9" * 80])
            def test_database(value, mongodb_uri, mongodb_database_name):
                with MongoClient(mongodb_uri) as client:
                    database = client[mongodb_database_name]
                    assert database.c.find_one() is None
                    database.c.insert_one({})
                    assert names.isdisjoint(client.list_database_names())
                names.add(mongodb_database_name)

            def test_the_names_differed(mongodb_uri):
                with MongoClient(mongodb_uri) as client:
                    assert names.isdisjoint(client.list_database_names())
                assert len(names) == 3
            """
        )
        result.assert_outcomes(passed=4)
        assert not started


class TestServerThatCannotBeUsed:
    CODE = """
        import pytest

        @pytest.mark.parametrize("n", range(4))
        def test_something(n, mongodb_database_name):
            pass
        """

    def failure(self, run_pytest, *options):
        # In 150 seconds: each of the four tests used to take 60.
        result, started = run_pytest(self.CODE, *options, timeout=150)
        result.assert_outcomes(errors=4)
        assert not started
        return result.stdout

    @pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
    def test_an_unreachable_server_fails_each_test_at_once(self, run_pytest, monkeypatch, options):
        monkeypatch.setenv("FERROMONGO_TEST_URI", "mongodb://someone:secret@127.0.0.1:1")
        output = self.failure(run_pytest, *options)
        output.fnmatch_lines(
            ["no server answers at FERROMONGO_TEST_URI: *127.0.0.1:1*refused*"] * 4
        )
        output.no_fnmatch_line("*secret*")

    def test_a_connection_string_that_is_wrong(self, run_pytest, monkeypatch):
        monkeypatch.setenv("FERROMONGO_TEST_URI", "mongodb://localhost:many")
        output = self.failure(run_pytest)
        output.fnmatch_lines(["FERROMONGO_TEST_URI cannot be used: *"] * 4)

    @pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["one process", "workers"])
    def test_no_mongod(self, run_pytest, monkeypatch, options):
        monkeypatch.setenv("FERROMONGO_MONGOD", "/nowhere/mongod")
        output = self.failure(run_pytest, *options)
        lines = ["FERROMONGO_MONGOD names /nowhere/mongod*", "To use a server that runs, set *URI*"]
        output.fnmatch_lines(lines * 4)
        output.no_fnmatch_line("*another exception*")


class TestWorkers:
    """pytest-xdist."""

    def test_they_share_one_replica_set(self, run_pytest):
        result, started = run_pytest(
            """
            import pathlib, time
            import pytest

            @pytest.fixture(scope="session")
            def others(mongodb_uri, worker_id, tmp_path_factory):
                # Each worker waits for the other two, so that none has all the tests.
                directory = tmp_path_factory.getbasetemp().parent
                (directory / worker_id).write_text(mongodb_uri)
                names = ["gw0", "gw1", "gw2"]
                while not all((directory / name).exists() for name in names):
                    time.sleep(0.02)
                time.sleep(0.1)
                return [(directory / name).read_text() for name in names]

            @pytest.mark.parametrize("n", range(9))
            def test_database(n, others, mongodb_uri, mongo_database):
                assert others == [mongodb_uri] * 3
                assert mongo_database.c.find_one() is None
                mongo_database.c.insert_one({})
            """,
            *("-n", "3"),
        )
        result.assert_outcomes(passed=9)
        assert len(started) == 1
        assert not psutil.pid_exists(started[0])

    def test_they_may_hurt_its_members(self, run_pytest, pytester):
        pytester.makeini("[pytest]\nmongodb_members = 3")
        result, started = run_pytest(
            """
            def test_fail_over(mongodb_replica_set, mongo_client):
                primary = mongodb_replica_set.primary
                mongodb_replica_set.kill(primary)
                mongo_client.test.c.insert_one({})
                assert mongodb_replica_set.primary != primary
                mongodb_replica_set.recover()
                assert len(mongodb_replica_set.secondaries) == 2
                with mongodb_replica_set.failpoint(failCommands=["ping"], errorCode=8):
                    pass
                assert list(mongodb_replica_set.directory.glob("member-*.log"))
            """,
            *("-n", "1"),
        )
        result.assert_outcomes(passed=1)
        assert len(started) == 4

    def test_it_outlives_a_worker_that_crashes(self, run_pytest):
        result, started = run_pytest(
            """
            import os
            import pytest

            @pytest.mark.parametrize("n", range(6))
            def test_ping(n, mongo_client):
                assert mongo_client.admin.command("ping")["ok"] == 1
                if n == 2:
                    os._exit(1)
            """,
            *("-n", "2"),
        )
        result.assert_outcomes(passed=5, failed=1)
        assert len(started) == 1
        assert not psutil.pid_exists(started[0])

    def test_it_ends_with_a_controller_that_is_killed(
        self, run_pytest, pytester, monkeypatch, tmp_path_factory
    ):
        # Not below the test's own: the path of a socket may have a hundred bytes.
        temporary = tmp_path_factory.mktemp("t")
        monkeypatch.setenv("TMPDIR", str(temporary))
        pytester.makepyfile(
            """
            import os, signal

            def test_kill(mongo_client):
                assert mongo_client.admin.command("ping")["ok"] == 1
                os.kill(os.getppid(), signal.SIGKILL)
            """
        )
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", "1"]
        result = pytester.run(*command)
        assert result.ret == -signal.SIGKILL
        (mongod,) = servers(pytester.path / "started")
        wait_until(lambda: not psutil.pid_exists(mongod))
        # What it has left is removed by the next one.
        (left,) = temporary.glob("ferromongo-pytest-*")
        os.utime(left, (0, 0))
        pytester.run(*command, "-k", "nothing")
        assert list(temporary.glob("ferromongo-pytest-*")) == []


class TestClients:
    def test_a_client_and_a_database(self, on_the_single_server):
        result, _ = on_the_single_server(
            """
            import ferromongo

            clients = []

            def test_client(mongo_client, mongo_database, mongodb_database_name):
                assert isinstance(mongo_client, ferromongo.MongoClient)
                assert mongo_database == mongo_client[mongodb_database_name]
                mongo_database.orders.insert_one({"_id": 1})
                assert mongo_client[mongo_database.name].orders.find_one() == {"_id": 1}
                clients.append(mongo_client)

            def test_it_was_closed(mongo_client, mongo_database):
                assert mongo_database.orders.find_one() is None
                assert clients[0].nodes == frozenset()
            """
        )
        result.assert_outcomes(passed=2)

    @pytest.mark.parametrize("mode", ["auto", "strict"])
    def test_asynchronous_ones_in_loops_of_every_scope(self, on_the_single_server, mode):
        result, _ = on_the_single_server(
            """
            import asyncio
            import pytest
            import ferromongo

            @pytest.fixture(scope="session")
            def one_client(mongodb_uri):
                client = ferromongo.AsyncMongoClient(mongodb_uri)
                yield client
                asyncio.run(client.close())

            class Clients:
                @pytest.mark.parametrize("n", range(3))
                async def test_client(
                    self, n, async_mongo_client, async_mongo_database, one_client
                ):
                    assert isinstance(async_mongo_client, ferromongo.AsyncMongoClient)
                    assert await async_mongo_database.orders.find_one() is None
                    await async_mongo_database.orders.insert_one({"_id": 1})
                    same = one_client[async_mongo_database.name]
                    assert await same.orders.find_one() == {"_id": 1}
                    self.loops.add(asyncio.get_running_loop())

                async def test_rollback(self, async_mongo_client, async_mongo_rollback):
                    await async_mongo_client.test.c.insert_one({})
                    assert await async_mongo_client.test.c.count_documents({}) == 1

                def test_loops(self):
                    assert len(self.loops) == (3 if type(self) is TestFunction else 1)

            @pytest.mark.asyncio(loop_scope="function")
            class TestFunction(Clients):
                loops = set()

            @pytest.mark.asyncio(loop_scope="class")
            class TestClass(Clients):
                loops = set()

            @pytest.mark.asyncio(loop_scope="module")
            class TestModule(Clients):
                loops = set()

            @pytest.mark.asyncio(loop_scope="session")
            class TestSession(Clients):
                loops = set()
            """,
            *("-o", f"asyncio_mode={mode}", *ASYNCIO),
        )
        result.assert_outcomes(passed=20)

    def test_asynchronous_ones_without_a_plugin_for_loops(self, on_the_single_server):
        result, _ = on_the_single_server(
            """
            import asyncio

            def test_client(async_mongo_database, async_mongo_rollback):
                async def twice():
                    await async_mongo_database.c.insert_one({})
                    return await async_mongo_database.c.count_documents({})

                assert asyncio.run(twice()) == 1
            """,
            *("-p", "no:asyncio"),
        )
        result.assert_outcomes(passed=1)


class TestRollback:
    def test_writes_are_undone_after_the_test(self, on_the_single_server):
        result, _ = on_the_single_server(
            """
            import pytest

            DATABASE = "rolled_back"

            @pytest.fixture(scope="module", autouse=True)
            def prepared(mongodb_uri):
                import ferromongo

                with ferromongo.MongoClient(mongodb_uri) as client:
                    client.drop_database(DATABASE)
                    client[DATABASE].orders.insert_one({"_id": 1, "n": 0})
                    yield
                    client.drop_database(DATABASE)

            def change(orders, session=None):
                orders.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=session)
                orders.insert_one({"_id": 2}, session=session)

            @pytest.mark.parametrize("n", range(2))
            def test_code_that_takes_a_session(n, mongo_client, mongo_rollback):
                assert mongo_rollback.in_transaction
                orders = mongo_client[DATABASE].orders
                change(orders, session=mongo_rollback)
                assert orders.count_documents({}, session=mongo_rollback) == 2

            @pytest.mark.parametrize("n", range(2))
            def test_code_that_takes_none(n, mongo_client, mongo_rollback):
                orders = mongo_client[DATABASE].orders
                change(orders)
                assert orders.find_one() == {"_id": 1, "n": 1}

            @pytest.mark.parametrize("n", range(2))
            @pytest.mark.parametrize("scope", ["function", "session"])
            async def test_async_code(n, scope, async_mongo_client, async_mongo_rollback):
                orders = async_mongo_client[DATABASE].orders
                await orders.update_one({"_id": 1}, {"$inc": {"n": 1}})
                await orders.insert_one({"_id": 2}, session=async_mongo_rollback)
                assert await orders.find_one() == {"_id": 1, "n": 1}
                assert await orders.count_documents({}) == 2

            @pytest.mark.asyncio(loop_scope="session")
            async def test_async_code_in_a_loop_of_the_session(
                async_mongo_client, async_mongo_rollback
            ):
                await async_mongo_client[DATABASE].orders.insert_one({"_id": 2})

            @pytest.mark.xfail(strict=True, raises=ZeroDivisionError)
            def test_that_fails(mongo_client, mongo_rollback):
                change(mongo_client[DATABASE].orders)
                1 / 0

            def test_that_commits_all_the_same(mongo_database, mongo_rollback):
                mongo_database.orders.insert_one({})
                mongo_rollback.commit_transaction()

            def test_whose_database_is_asked_for_last(mongo_rollback, mongo_database):
                mongo_database.orders.insert_one({})

            async def test_whose_database_is_async(async_mongo_rollback, async_mongo_database):
                await async_mongo_database.orders.insert_one({})

            def test_nothing_is_left(mongo_client):
                assert mongo_client[DATABASE].orders.find().to_list() == [{"_id": 1, "n": 0}]
            """,
            *("-W", "error", "-o", "asyncio_mode=auto", *ASYNCIO),
        )
        result.assert_outcomes(passed=13, xfailed=1)
