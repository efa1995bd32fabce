"""A server that does not know the password receives neither operations nor the password.

The false replies are sent in handshakes of connections for operations; the monitor receives
those of a primary.
"""

import pytest
from bson import ObjectId
from pymongo.errors import OperationFailure, PyMongoError
from tests.drivers import DRIVER_NAME, both_drivers, eventually, ferromongo_only
from tests.fault.peer import Peer
from tests.fault.peer_answers import load_balancer, mongos, replica_set, standalone

CREDENTIALS = {"username": "user", "password": "a secret"}
NAMED = CREDENTIALS | {"authMechanism": "SCRAM-SHA-256"}
# Fields of the reply to hello; None takes one away.
LIES = {
    "nothing": {},
    "an arbiter": {"ismaster": False, "secondary": False, "arbiterOnly": True},
    "an arbiter and primary": {"arbiterOnly": True},
    "an arbiter of no set": {"arbiterOnly": True, "setName": None},
    "a ghost": {"isreplicaset": True, "setName": None},
    "a hidden member": {"hidden": True},
    "a standalone": {"setName": None},
    "a mongos": {"setName": None, "msg": "isdbgrid"},
    "a load balancer": {"serviceId": ObjectId()},
    "an old server": {"maxWireVersion": 0},
    "a server of the future": {"maxWireVersion": 2**31 - 1},
    "of another set": {"setName": "other"},
    "with another name": {"me": "other:27017"},
    "no authentication needed": {"authenticationRequired": False, "auth": False},
    "no mechanism": {"saslSupportedMechs": []},
    "PLAIN only": {"saslSupportedMechs": ["PLAIN"]},
    "X.509 only": {"saslSupportedMechs": ["MONGODB-X509"]},
    "mechanisms of no type": {"saslSupportedMechs": 5},
    "no SASL": {"saslSupportedMechs": None, "speculativeAuthenticate": None},
    "authenticated already": {
        "speculativeAuthenticate": {"ok": 1, "done": True, "conversationId": 1, "payload": b""}
    },
    "authenticated by certificate": {"speculativeAuthenticate": {"dbname": "$external"}},
    "authenticated by proof": {
        "speculativeAuthenticate": {
            "ok": 1, "done": True, "conversationId": 1, "payload": b"v=AAAA",
        }
    },
    "another user": {"speculativeAuthenticate": {"ok": 1, "user": "root", "done": True}},
}  # fmt: skip
ROLES = {"replica set": replica_set, "direct": replica_set, "standalone": standalone,
         "mongos": mongos, "load balancer": load_balancer}  # fmt: skip


def lying(fields):
    def hello(request):
        reply = request.ordinary()
        if request.connection.number in request.peer.lanes or is_lane(request):
            request.peer.lanes.add(request.connection.number)
            reply |= fields
        return {name: value for name, value in reply.items() if value is not None}

    return hello


def is_lane(request):
    return {"speculativeAuthenticate", "saslSupportedMechs"} & set(request.document)


def let_in(request):
    """Replies of a server that pretends to have checked the password."""
    return {"ok": 1, "done": True, "conversationId": 1, "payload": b"v=QUFBQQ=="}


@pytest.mark.parametrize("options", [CREDENTIALS, NAMED], ids=["negotiated", "named"])
@pytest.mark.parametrize("role", ROLES)
@both_drivers
async def test_a_server_without_the_password_receives_no_operation(driver, role, options):
    async def attempt(lie):
        with Peer(ROLES[role]) as peer:
            peer.lanes = set()
            peer.on("hello", lying(LIES[lie]))
            peer.on("saslStart", let_in)
            peer.on("saslContinue", let_in)
            uri = peer.uri(serverSelectionTimeoutMS=2000, retryWrites=False, retryReads=False)
            direct = {"directConnection": True} if role == "direct" else {}
            async with driver.client(uri, **options, **direct) as client:
                for operation in (
                    lambda: client.db.c.insert_one({"x": 1}),
                    lambda: client.db.c.find_one(),
                    lambda: client.admin.command("ping"),
                ):
                    try:
                        await operation()
                    except Exception as error:
                        raised = error
                    else:
                        return f"{lie}: no error"
            sent = set(peer.seen) - {"saslStart", "saslContinue"}
            told = [r for r in peer.requests if b"a secret" in repr(r.document).encode()]
            fits = isinstance(raised, PyMongoError) or DRIVER_NAME == "pymongo"
            return None if fits and not sent and not told else (lie, raised, sent, told)

    jobs = [driver.start(attempt, lie) for lie in LIES]
    outcomes = [await job.result(60) for job in jobs]
    assert [outcome for outcome in outcomes if outcome is not None] == []


@ferromongo_only
@both_drivers
async def test_a_connection_is_closed_after_a_failed_reauthentication(driver):
    """It had authenticated once. PyMongo keeps such a connection in its pool."""
    with Peer(replica_set) as peer:
        async with driver.client(
            peer.uri(retryReads=False), **NAMED | {"password": "secret"}
        ) as client:
            await client.admin.command("ping")
            (line,) = peer.lines_used
            peer.once("find", {"ok": 0, "code": 391, "errmsg": "ReauthenticationRequired"})
            peer.on("saslContinue", let_in)
            with pytest.raises(OperationFailure):
                await client.db.c.find_one()
            assert peer.seen["find"] == 1
            await eventually(driver, lambda: not line.open)
            peer.sane()
            assert await client.db.c.find_one() is None
