"""MongoDB's official `mongodb+srv://` scenarios: `initial-dns-seedlist-discovery`, and its prose.

The files use names of a zone that MongoDB publishes and the specification's README lists. ZONE is
that zone, put together from the list and from what the files expect of it, and a name server of
our own tells it. What is compared is what a client makes of the answers: its seeds and options. No
server is behind the names, so `hosts` and `ping` are left out.
"""

import json
import re

import pymongo
import pytest
from pymongo.errors import ConfigurationError
from tests.drivers import both_drivers
from tests.name_server import NameServer, looked_up
from tests.parity.spec_files import SPECS, needed

FOLDER = SPECS / "initial-dns-seedlist-discovery/tests"
CASES = {
    str(path.relative_to(FOLDER))[: -len(".json")]: path for path in sorted(FOLDER.rglob("*.json"))
}

LOCALHOST = "localhost.test.build.10gen.cc"
ONE = [(LOCALHOST, 27017)]
TWO = [(LOCALHOST, 27017), (LOCALHOST, 27018)]
ZONE = {
    "test1": (TWO, []),
    "test2": ([(LOCALHOST, 27018), (LOCALHOST, 27019)], []),
    "test3": (ONE, []),
    "test5": (ONE, ["replicaSet=repl0&authSource=thisDB"]),
    "test6": (ONE, ["replicaSet=repl0", "authSource=otherDB"]),
    "test7": (ONE, ["ssl=false"]),
    "test8": (ONE, ["authSource"]),
    "test10": (ONE, ["socketTimeoutMS=500"]),
    "test11": (ONE, [("replicaS", "et=rep", "l0")]),
    "test12": ([("localhost.build.10gen.cc", 27017)], []),
    "test13": ([("test.build.10gen.cc", 27017)], []),
    "test14": ([("localhost.not-test.build.10gen.cc", 27017)], []),
    "test15": ([("localhost.test.not-build.10gen.cc", 27017)], []),
    "test16": ([("localhost.test.build.not-10gen.cc", 27017)], []),
    "test17": ([("localhost.test.build.10gen.not-cc", 27017)], []),
    "test18": ([("localhost.sub.test.build.10gen.cc", 27017)], []),
    "test19": ([("localhost.evil.build.10gen.cc", 27017), (LOCALHOST, 27017)], []),
    "test20": (ONE, ["loadBalanced=true"]),
    "test21": (ONE, ["loadBalanced=false"]),
    "test23": ([(LOCALHOST, 8000)], []),
    "test24": ([(LOCALHOST, 8000)], ["loadBalanced=true"]),
}
OPTIONS = {
    "authSource": lambda options: options._options.get("authsource"),
    "directConnection": lambda options: bool(options.direct_connection),
    "loadBalanced": lambda options: bool(options.load_balanced),
    "replicaSet": lambda options: options.replica_set_name,
    "srvMaxHosts": lambda options: options._options.get("srvmaxhosts"),
    "srvServiceName": lambda options: options._options.get("srvservicename"),
    "ssl": lambda options: options.pool_options._ssl_context is not None,
}
PARSED = {
    "user": lambda client: client.options.pool_options._credentials.username,
    "password": lambda client: client.options.pool_options._credentials.password,
    "auth_database": lambda client: client.get_default_database().name,
    "db": lambda client: client.get_default_database().name,
    "defaultDatabase": lambda client: client.get_default_database().name,
}
KEYS = {"uri", "seeds", "hosts", "error", "comment", "options", "parsed_options", "ping"}


@pytest.fixture(scope="module")
def names():
    with NameServer() as names:
        for name, (hosts, texts) in ZONE.items():
            names.srv(f"{name}.test.build.10gen.cc", *hosts)
            names.txt(f"{name}.test.build.10gen.cc", *texts)
        names.srv("test22.test.build.10gen.cc", *TWO, service="customname")
        yield names


@needed(CASES)
def test_there_are_cases():
    folders = [name.split("/")[0] for name in CASES]
    count = {folder: folders.count(folder) for folder in folders}
    assert count == {"load-balanced": 9, "replica-set": 40, "sharded": 4}


@pytest.mark.parametrize("name", CASES)
@both_drivers
async def test_scenario(driver, name, names):
    case = json.loads(CASES[name].read_text())
    assert not case.keys() - KEYS - {"numSeeds", "numHosts"}
    if case.get("error"):
        with pytest.raises(ConfigurationError) as expected:
            pymongo.MongoClient(case["uri"])
        with pytest.raises(ConfigurationError) as raised:
            await resolved(driver, case["uri"])
        assert (raised.type, str(raised.value)) == (expected.type, str(expected.value))
        return
    client = await resolved(driver, case["uri"])
    try:
        seeds = seeds_of(client)
        if "seeds" in case:
            assert sorted(seeds) == sorted(case["seeds"])
        if "numSeeds" in case:
            assert len(seeds) == case["numSeeds"]
        for option, value in case.get("options", {}).items():
            assert OPTIONS[option](client.options) == value, option
        for part, value in case.get("parsed_options", {}).items():
            assert PARSED[part](client) == value, part
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("name", "host", "accepted"),
    [
        # 1: names of fewer than three parts are allowed
        ("sample", "test_1.sample", True),
        ("mongo.local", "test_1.mongo.local", True),
        # 2: the host does not end with the name's domain
        ("sample", "localhost.mongodb", False),
        ("mongo.local", "test_1.evil.local", False),
        ("blogs.mongodb.com", "blogs.evil.com", False),
        # 3: the host is the name itself
        ("sample", "sample", False),
        ("mongo.local", "mongo.local", False),
        # 4: no dot before the shared part
        ("sample", "test_1.cluster_1sample", False),
        ("mongo.local", "test_1.my_hostmongo.local", False),
        ("blogs.mongodb.com", "cluster.testmongodb.com", False),
        # the name itself has three parts
        ("blogs.mongodb.com", "blogs.mongodb.com", True),
    ],
)
@both_drivers
async def test_prose(driver, name, host, accepted, names):
    names.srv(name, (host, 27017))
    if not accepted:
        with pytest.raises(ConfigurationError, match="Invalid SRV host"):
            await resolved(driver, f"mongodb+srv://{name}/?tls=false")
        return
    client = await resolved(driver, f"mongodb+srv://{name}/?tls=false")
    assert seeds_of(client) == [f"{host}:27017"]
    await client.close()


def resolved(driver, uri):
    return looked_up(driver, uri, heartbeatFrequencyMS=60000)


def seeds_of(client):
    [shown] = re.findall(r"host=\[(.*?)\]", repr(client))
    return re.findall(r"'(.*?)'", shown)
