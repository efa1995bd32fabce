"""Authentication against a real server that wants it, on both APIs, beside PyMongo.

PLAIN and MONGODB-X509 cannot succeed on this server (one needs MongoDB Enterprise, the other TLS,
which `test_auth_over_tls.py` has): here it is seen that the server understands what is asked and
refuses it; the Rust tests of `src/auth` check the bytes.
"""

import asyncio
import contextlib
import logging
import shutil
import time
from urllib.parse import quote

import pymongo
import pytest
from pymongo.errors import AutoReconnect, NetworkTimeout, NotPrimaryError, OperationFailure
from tests.drivers import both_drivers, eventually, ferromongo_only, package, patient, wait_until
from tests.fault.programs import run

from ferromongo.embedded import ReplicaSet

ROOT = ("root@home", "p@ss:w/rd%?#&=é")
SECRET = "s3cret-w0rd"
SHA1, SHA256 = "SCRAM-SHA-1", "SCRAM-SHA-256"


@pytest.fixture(scope="module")
def guarded():
    with ReplicaSet(members=3, auth=ROOT) as replica_set:
        with pymongo.MongoClient(replica_set.uri) as admin:
            for (user, password), mechanisms, _ in USERS:
                admin.admin.command(
                    "createUser", user, pwd=password, roles=["root"], mechanisms=mechanisms
                )
            admin.shop.command("createUser", "clerk", pwd="p", roles=["readWrite"])
        yield replica_set


@pytest.fixture
def admin(guarded):
    with pymongo.MongoClient(guarded.uri) as admin:
        yield admin


def anonymous(guarded):
    """The set's URI without the user in it."""
    hosts = ",".join(member.address for member in guarded.members)
    return f"mongodb://{hosts}/?replicaSet={guarded.name}"


# User and password as created, mechanisms, and the passwords that open the door.
USERS = [
    (("both", "p"), [SHA1, SHA256], ["p"]),
    (("old", "p"), [SHA1], ["p"]),
    (("new", "p"), [SHA256], ["p"]),
    (("us=er,n@me:/?%ü", "p@ss:w/rd?#%ß"), [SHA1, SHA256], ["p@ss:w/rd?#%ß"]),
    # From the specification's prose: passwords are prepared, user names are not.
    (("IX", "IX"), [SHA256], ["IX", "I\u00adX", "\u2168"]),
    (("\u2168", "\u2163"), [SHA256], ["IV", "I\u00adV", "\u2163"]),
    (("space", "a\u00a0b"), [SHA256], ["a b", "a\u00a0b"]),
]
LOGINS = [
    (user, password, mechanism)
    for (user, _), mechanisms, passwords in USERS
    for password in passwords
    for mechanism in [None, *mechanisms]
]


async def who(client):
    status = await client.admin.command("connectionStatus")
    return [(user["user"], user["db"]) for user in status["authInfo"]["authenticatedUsers"]]


@pytest.mark.parametrize(("user", "password", "mechanism"), LOGINS, ids=ascii)
@both_drivers
async def test_login(driver, guarded, user, password, mechanism):
    options = {} if mechanism is None else {"authMechanism": mechanism}
    keywords = {"username": user, "password": password, **options}
    async with driver.client(anonymous(guarded), **keywords) as client:
        assert await who(client) == [(user, "admin")]
    escaped = f"mongodb://{quote(user, safe='')}:{quote(password, safe='')}@"
    uri = anonymous(guarded).replace("mongodb://", escaped)
    async with driver.client(uri, **options) as client:
        assert await who(client) == [(user, "admin")]


@both_drivers
async def test_the_source_is_the_option_else_the_database_else_admin(driver, guarded):
    user = {"username": "clerk", "password": "p"}
    host = guarded.members[0].address
    for uri, options in [
        (anonymous(guarded), {"authSource": "shop"}),
        (f"mongodb://{host}/other?authSource=shop&replicaSet={guarded.name}", {}),
        (f"mongodb://{host}/shop?replicaSet={guarded.name}", {}),
    ]:
        async with driver.client(uri, **user, **options) as client:
            assert await who(client) == [("clerk", "shop")]
            await client.shop.orders.find_one()
            with pytest.raises(OperationFailure, match="not authorized") as refused:
                await client.elsewhere.orders.find_one()
            assert refused.value.code == 13


FAILURES = {
    "wrong password": {"username": "both", "password": SECRET},
    "wrong password, SHA-1": {"username": "both", "password": SECRET, "authMechanism": SHA1},
    "wrong password, SHA-256": {"username": "both", "password": SECRET, "authMechanism": SHA256},
    "unknown user": {"username": "nobody", "password": SECRET},
    "unknown user, SHA-256": {"username": "nobody", "password": SECRET, "authMechanism": SHA256},
    "wrong source": {"username": "both", "password": "p", "authSource": "shop"},
    "only SHA-1": {"username": "old", "password": "p", "authMechanism": SHA256},
    "only SHA-256": {"username": "new", "password": "p", "authMechanism": SHA1},
    "user names are not prepared": {"username": "I\u00adX", "password": "IX"},
    "SHA-1 passwords are not prepared": {
        "username": "both",
        "password": "\u00adp",
        "authMechanism": SHA1,
    },
    "forbidden in a password": {"username": "both", "password": "\u0007" + SECRET},
    "bidirectional nonsense": {"username": "both", "password": "\u0627" + SECRET + "\u0627"},
    "empty": {"username": "both", "password": "", "authMechanism": SHA1},
    "PLAIN": {"username": "both", "password": SECRET, "authMechanism": "PLAIN"},
    "MONGODB-X509": {"username": "CN=both", "authMechanism": "MONGODB-X509"},
    "MONGODB-X509, nameless": {"authMechanism": "MONGODB-X509"},
    "nobody": {},
}


def told(error):
    details = getattr(error, "details", None)
    if details is not None:
        details = {
            key: value
            for key, value in details.items()
            if key not in ("$clusterTime", "operationTime")
        }
    labels = getattr(error, "_error_labels", None)
    text = str(error).partition(", full error")[0]
    return type(error), text, getattr(error, "code", None), details, labels


async def failure(call):
    try:
        await call()
    except Exception as error:
        return error
    raise AssertionError("it was let in")


def failure_of_pymongo(uri, call, options):
    with pymongo.MongoClient(uri, **options) as peer:
        try:
            call(peer)
        except Exception as error:
            return error
    raise AssertionError("PyMongo was let in")


@pytest.mark.parametrize("reason", FAILURES)
@both_drivers
async def test_refused_as_pymongo_is(driver, guarded, reason, caplog):
    options, uri = FAILURES[reason], anonymous(guarded)
    expected = failure_of_pymongo(uri, lambda peer: peer.t.c.insert_one({}), options)
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        async with driver.client(uri, **options) as client:
            error = await failure(lambda: client.t.c.insert_one({}))
            seen = f"{error!r} {error} {getattr(error, 'details', '')} {client!r} {caplog.text}"
    assert told(error) == told(expected)
    assert SECRET not in seen


@ferromongo_only
@both_drivers
async def test_refused_again_without_a_pause(driver, guarded):
    """PyMongo waits for its monitor's next round, up to ten seconds."""
    options = FAILURES["wrong password"]
    async with driver.client(anonymous(guarded), **options) as client:
        first = await failure(lambda: client.t.c.find_one())
        start = time.monotonic()
        second = await failure(lambda: client.t.c.find_one())
        assert time.monotonic() - start < patient(3)
    assert told(first) == told(second)


@both_drivers
async def test_the_right_client_is_not_disturbed_by_a_wrong_one(driver, guarded):
    async with (
        driver.client(guarded.uri) as right,
        driver.client(anonymous(guarded), username="both", password=SECRET) as wrong,
    ):
        for _ in range(3):
            assert isinstance(await failure(lambda: wrong.t.c.find_one()), OperationFailure)
            await right.t.c.insert_one({})


def scram_counts(admin):
    seen = admin.admin.command("serverStatus")["security"]["authentication"]["mechanisms"][SHA256]
    return [seen[way]["successful"] for way in ("speculativeAuthenticate", "authenticate")]


@both_drivers
async def test_the_first_step_travels_in_the_hello(driver, guarded, admin):
    before = scram_counts(admin)
    uri = guarded.primary.uri.replace(
        "directConnection=true", "directConnection=true&maxPoolSize=1"
    )
    async with driver.client(uri) as client:
        await client.admin.command("ping")
    speculative, all_ways = (
        now - then for now, then in zip(scram_counts(admin), before, strict=True)
    )
    assert speculative == all_ways >= 1


@both_drivers
async def test_many_at_once(driver, guarded):
    async with driver.client(guarded.uri) as client:

        async def work(n):
            await client.t.many.insert_one({"n": n})
            return await who(client)

        jobs = [driver.start(work, n) for n in range(50)]
        for job in jobs:
            assert await job.result() == [(ROOT[0], "admin")]


@pytest.fixture(scope="module")
def slow_keys(guarded):
    """A user whose keys take a processor's half second to make."""
    with pymongo.MongoClient(guarded.uri) as admin:
        primary = pymongo.MongoClient(guarded.primary.uri)
        primary.admin.command("setParameter", 1, scramSHA256IterationCount=2_000_000)
        admin.admin.command("createUser", "slow", pwd="p", roles=["root"], mechanisms=[SHA256])
        primary.admin.command("setParameter", 1, scramSHA256IterationCount=15_000)
        primary.close()
    return {"username": "slow", "password": "p"}


@both_drivers
async def test_keys_are_made_once_for_all_connections(driver, guarded, slow_keys):
    async def connections(client, count):
        async def ping():
            await client.admin.command("ping")

        before = time.process_time()
        jobs = [driver.start(ping) for _ in range(count)]
        for job in jobs:
            await job.result()
        return time.process_time() - before

    host = guarded.primary.uri
    async with driver.client(host, **slow_keys, maxConnecting=20) as client:
        one = await connections(client, 1)
    async with driver.client(host, **slow_keys, maxConnecting=20) as client:
        twenty = await connections(client, 20)
    assert one > 0.1  # or the test would show nothing
    assert twenty < 3 * one


@ferromongo_only
def test_the_event_loop_does_not_wait_for_the_keys(guarded, slow_keys):
    async def body():
        longest = 0.0

        async def tick():
            nonlocal longest
            while True:
                start = time.perf_counter()
                await asyncio.sleep(0.001)
                longest = max(longest, time.perf_counter() - start)

        async with package.AsyncMongoClient(guarded.primary.uri, **slow_keys) as client:
            ticking = asyncio.ensure_future(tick())
            start = time.perf_counter()
            await client.admin.command("ping")
            took = time.perf_counter() - start
            ticking.cancel()
        return took, longest

    took, longest = asyncio.run(body())
    assert took > 0.1
    assert longest < took / 2


def fault(guarded, **data):
    """A fail point on the primary for clients with the name "faulty"."""
    return guarded.failpoint(appName="faulty", **data)


@pytest.mark.parametrize("operation", ["insert", "find"])
@pytest.mark.parametrize(
    "data",
    [
        {"closeConnection": True},
        # PyMongo retries this one only if the server labels it, as servers do outside of tests.
        pytest.param({"errorCode": 91}, marks=ferromongo_only),
    ],
    ids=str,
)
@both_drivers
async def test_a_fault_in_authentication_is_retried(driver, guarded, data, operation):
    with fault(guarded, times=1, failCommands=["saslContinue"], **data):
        async with driver.client(guarded.uri, appName="faulty") as client:
            collection = client.t.retried
            await (collection.insert_one({}) if operation == "insert" else collection.find_one())


@pytest.mark.parametrize(
    ("data", "kind"),
    [({"closeConnection": True}, AutoReconnect), ({"errorCode": 91}, NotPrimaryError)],
    ids=str,
)
@both_drivers
async def test_a_lasting_fault_in_authentication(driver, guarded, data, kind):
    options = {"appName": "faulty", "retryWrites": False}
    with fault(guarded, failCommands=["saslContinue"], **data):
        expected = failure_of_pymongo(guarded.uri, lambda peer: peer.t.c.insert_one({}), options)
        async with driver.client(guarded.uri, **options) as client:
            error = await failure(lambda: client.t.c.insert_one({}))
    assert type(error) is type(expected) is kind
    assert getattr(error, "code", None) == getattr(expected, "code", None)
    async with driver.client(guarded.uri, **options) as client:
        await client.t.c.insert_one({})


@ferromongo_only
@both_drivers
async def test_authentication_has_the_time_of_connecting(driver, guarded):
    """PyMongo lets it take as long as an operation may."""
    with fault(guarded, failCommands=["saslContinue"], block=2):
        options = {"appName": "faulty", "connectTimeoutMS": 200, "retryReads": False}
        async with driver.client(guarded.primary.uri, **options) as client:
            with pytest.raises(NetworkTimeout):
                await client.t.c.find_one()


@both_drivers
async def test_reauthentication(driver, guarded):
    async with driver.client(guarded.uri, appName="faulty", maxPoolSize=1) as client:
        collection = client.t.reauthenticated
        await collection.drop()
        await collection.insert_one({"_id": 0})
        for command, call in [
            ("insert", lambda: collection.insert_one({"_id": 1})),
            ("find", lambda: collection.find_one()),
            ("update", lambda: collection.update_one({"_id": 1}, {"$inc": {"n": 1}})),
        ]:
            with fault(guarded, times=1, failCommands=[command], errorCode=391):
                await call()
        with fault(guarded, times=2, failCommands=["find"], errorCode=391):
            error = await failure(lambda: collection.find_one())
            assert error.code == 391
        assert await collection.find_one({"_id": 1}) == {"_id": 1, "n": 1}
        assert await who(client) == [(ROOT[0], "admin")]


@ferromongo_only
@both_drivers
async def test_reauthentication_at_the_start_of_a_transaction(driver, guarded):
    """The command goes out again as it was; PyMongo's lacks its startTransaction by then."""
    async with driver.client(guarded.uri, appName="faulty") as client:
        await client.t.inside.insert_one({"_id": "before"})
        async with client.start_session() as session:
            await session.start_transaction()
            with fault(guarded, times=1, failCommands=["insert"], errorCode=391):
                await client.t.inside.insert_one({"_id": "within"}, session=session)
            await session.commit_transaction()
        assert await client.t.inside.count_documents({}) == 2
        await client.t.inside.drop()


@both_drivers
async def test_reauthentication_without_credentials_is_asking_again(driver, guarded):
    async with driver.client(anonymous(guarded), appName="faulty") as client:
        with fault(guarded, times=1, failCommands=["ping"], errorCode=391):
            await client.admin.command("ping")


@both_drivers
async def test_failover(driver, guarded):
    async with driver.client(guarded.uri, w="majority") as client:
        await client.t.failover.insert_one({"_id": f"{driver.name} before"})
        await driver.blocking(guarded.step_down)
        await client.t.failover.insert_one({"_id": f"{driver.name} after a step down"})
        old = guarded.primary
        await driver.blocking(guarded.kill, old)
        await client.t.failover.insert_one({"_id": f"{driver.name} after a death"})
        await driver.blocking(guarded.recover)
        assert await client.t.failover.count_documents({"_id": {"$regex": driver.name}}) == 3


@pytest.mark.parametrize("way", ["os_fork", pytest.param("under_load", marks=ferromongo_only)])
def test_fork(guarded, way):
    names = ["parent", "child"] if way == "os_fork" else None
    answers = run("forked", way, guarded.uri, f"auth_{way}")
    assert all(answer.startswith("30 by ") for answer in answers)
    if names is not None:
        assert answers == [f"30 by {name}" for name in names]


@both_drivers
async def test_pools_fill_and_close_authenticated(driver, guarded, admin):
    """minPoolSize connects in the background; to close a cursor takes a user too."""
    admin.t.some.insert_many([{} for _ in range(4)])
    uri = f"{guarded.primary.uri}&minPoolSize=3&appName=filled{driver.name}"
    async with driver.client(uri) as client:
        cursor = client.t.some.find({}, batch_size=2)
        await cursor.__anext__()
        await cursor.close()
        filled = [{"$currentOp": {"idleConnections": True, "allUsers": True}}]

        def connections_with_a_user():
            with pymongo.MongoClient(guarded.primary.uri) as primary:
                seen = list(primary.admin.aggregate(filled))
            mine = [each for each in seen if each.get("appName") == f"filled{driver.name}"]
            return [each for each in mine if each.get("effectiveUsers") is not None]

        await eventually(driver, lambda: len(connections_with_a_user()) >= 3)


def test_credentials_are_refused_by_an_arbiter():
    """It holds no users. A driver that left authentication out there, because the server says that
    it is an arbiter, could be talked out of it by anybody."""
    with ReplicaSet(members=3, auth=True) as replica_set:
        with pymongo.MongoClient(replica_set.uri) as admin:
            admin.admin.command("setDefaultRWConcern", 1, defaultWriteConcern={"w": 1})
            config = admin.admin.command("replSetGetConfig")["config"]
            member = config["members"].pop()
            config["version"] += 1
            admin.admin.command("replSetReconfig", config)
            replica_set.kill(2)
            shutil.rmtree(replica_set.directory / "member-2")
            replica_set.restart(2)
            config["members"].append({"_id": 9, "host": member["host"], "arbiterOnly": True})
            config["version"] += 1
            admin.admin.command("replSetReconfig", config)
        member = replica_set.members[2]

        def is_arbiter():
            anybody = f"mongodb://{member.address}/?directConnection=true"
            with contextlib.suppress(AutoReconnect), package.MongoClient(anybody) as client:
                return client.admin.command("hello").get("arbiterOnly")

        wait_until(is_arbiter)
        client = package.MongoClient(member.uri)
        with client, pytest.raises(OperationFailure, match="Authentication failed"):
            client.admin.command("ping")
        # Beside operations on the set it is left alone, by minPoolSize too.
        with package.MongoClient(f"{replica_set.uri}&minPoolSize=3") as client:
            client.admin.command("ping")
            assert client.arbiters == {("127.0.0.1", member.port)}
            time.sleep(1.5)
            assert client.test.c.count_documents({}) == 0
            assert client.arbiters == {("127.0.0.1", member.port)}
