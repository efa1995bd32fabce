"""Wrong SCRAM messages of a peer that knows the password, or that would keep the client busy.

What a peer that knows nothing may try is in hostile_replies.py and test_hostile_handshakes.py.
"""

import base64
import hashlib
import hmac
import time

import pytest
from pymongo.errors import (
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from tests.drivers import DRIVER_NAME, both_drivers, eventually, ferromongo_only
from tests.fault.peer import Peer
from tests.fault.peer_answers import replica_set

if DRIVER_NAME == "pymongo":  # which leaves sockets to the garbage collector
    pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CREDENTIALS = {"username": "user", "password": "secret", "authMechanism": "SCRAM-SHA-256"}
SALT = base64.b64encode(b"sixteen bytes...").decode()
HONEST = {"first": "r={nonce}x,s={salt},i={count}", "final": "v={signature}"}
FIRSTS = {
    "the mandatory extension in front": "m=x,r={nonce}x,s={salt},i={count}",
    "the mandatory extension within": "r={nonce}x,m=x,s={salt},i={count}",
    "the mandatory extension behind": "r={nonce}x,s={salt},i={count},m=x",
    "the mandatory extension empty": "r={nonce}x,s={salt},i={count},m=",
    "no nonce of its own": "r={nonce},s={salt},i={count}",
    "a foreign nonce": "r=x{nonce},s={salt},i={count}",
    "the nonce cut short": "r={short},s={salt},i={count}",
    "two nonces": "r=foreign,r={nonce}x,s={salt},i={count}",
    "another order": "s={salt},r={nonce}x,i={count}",
    "the count first": "i={count},r={nonce}x,s={salt}",
    "a stranger in front": "x=1,r={nonce}x,s={salt},i={count}",
    "an upper case name": "R={nonce}x,s={salt},i={count}",
    "a space in front": " r={nonce}x,s={salt},i={count}",
    "a space before the count": "r={nonce}x,s={salt},i= {count}",
    "junk behind the count": "r={nonce}x,s={salt},i={count}x",
    "too small a count": "r={nonce}x,s={salt},i=4095",
    "a count of 1": "r={nonce}x,s={salt},i=1",
    "no count": "r={nonce}x,s={salt},i=",
    "a salt that is not base64": "r={nonce}x,s=%%%%,i={count}",
}
FINALS = {
    "a signature cut short": "v={short}",
    "a signature too long": "v={signature}AAAA",
    "no signature": "v=",
    "nothing": "",
    "an extension in front": "x=1,v={signature}",
    "the mandatory extension in front": "m=x,v={signature}",
    "an upper case name": "V={signature}",
    "an error": "e=other-error",
    "an error and a signature": "e=other-error,v={signature}",
    "a space in front": " v={signature}",
    "the client's own proof": "v={proof}",
    "the client's own proof as it was": "p={proof}",
    "a signature of the client's key": "v={client}",
    "a signature of the salted password": "v={salted}",
    "a signature of nothing": "v={empty}",
}
# Stricter than PyMongo, which looks the attributes up by name, whatever their order.
PYMONGO_TAKES = {
    "another order", "the count first", "a stranger in front", "two nonces",
    "a space before the count", "the mandatory extension empty", "an extension in front",
    "the mandatory extension in front", "the mandatory extension within",
    "the mandatory extension behind",
    "an error and a signature",
}  # fmt: skip


class Knowing:
    """The server's side of the mechanism, with fields replaced."""

    def __init__(self, first=HONEST["first"], final=HONEST["final"], count=4096):
        self._first, self._final, self._count = first, final, count

    def first(self, request):
        self._bare = bytes(request.document["payload"]).decode().removeprefix("n,,")
        nonce = self._bare.rpartition("r=")[2]
        words = {"nonce": nonce, "short": nonce[:-1], "salt": SALT, "count": self._count}
        self._said = self._first.format(**words)
        return reply(self._said, done=False)

    def last(self, request):
        payload = bytes(request.document["payload"]).decode()
        without, _, proof = payload.rpartition(",p=")
        auth = f"{self._bare},{self._said},{without}".encode()
        salted = hashlib.pbkdf2_hmac("sha256", b"secret", base64.b64decode(SALT), self._count)
        key = hmac.digest(salted, b"Server Key", "sha256")
        signature = signed(key, auth)
        words = {
            "signature": signature, "short": signature[:-4], "proof": proof,
            "client": signed(hmac.digest(salted, b"Client Key", "sha256"), auth),
            "salted": signed(salted, auth), "empty": signed(key, b""),
        }  # fmt: skip
        return reply(self._final.format(**words), done=True)


def signed(key, text):
    return base64.b64encode(hmac.digest(key, text, "sha256")).decode()


def reply(payload, done):
    return {"ok": 1, "done": done, "conversationId": 1, "payload": payload.encode()}


@both_drivers
async def test_wrong_scram_messages_end_the_authentication(driver):
    async def attempt(name, knowing):
        with Peer(replica_set) as peer:
            peer.on("saslStart", knowing.first)
            peer.on("saslContinue", knowing.last)
            uri = peer.uri(serverSelectionTimeoutMS=15000, retryReads=False)
            async with driver.client(uri, **CREDENTIALS) as client:
                try:
                    await client.db.c.find_one()
                except Exception as error:
                    raised = error
                else:
                    raised = None
            return name, raised, peer.seen["find"]

    cases = {"first: " + name: Knowing(first=text) for name, text in FIRSTS.items()}
    cases |= {"final: " + name: Knowing(final=text) for name, text in FINALS.items()}
    jobs = [driver.start(attempt, name, knowing) for name, knowing in cases.items()]
    jobs.append(driver.start(attempt, "honest", Knowing()))
    jobs.append(driver.start(attempt, "optional", Knowing(first=HONEST["first"] + ",x=optional")))
    taken = {}
    for job in jobs:
        name, raised, found = await job.result()
        fits = isinstance(raised, OperationFailure) or DRIVER_NAME == "pymongo"
        if raised is None or found or not fits:
            taken[name] = raised
    allowed = {"honest": None, "optional": None}
    if DRIVER_NAME == "pymongo":
        taken = {name: raised for name, raised in taken.items()
                 if name.partition(": ")[2] not in PYMONGO_TAKES}  # fmt: skip
    assert taken == allowed


@ferromongo_only
@pytest.mark.parametrize("ending", ["timeout", "close"])
@both_drivers
async def test_deriving_scram_keys_stops_when_no_connection_waits(driver, ending):
    """PyMongo makes them to the end, which takes minutes."""
    with Peer(replica_set) as peer:
        peer.on("saslStart", Knowing(count=100_000_000).first)
        limit = {"timeout": 4000, "close": 0}[ending]
        uri = peer.uri(connectTimeoutMS=limit, serverSelectionTimeoutMS=1000, retryReads=False)
        async with driver.client(uri, **CREDENTIALS) as client:

            async def find():
                await client.db.c.find_one()

            job = driver.start(find)
            await eventually(driver, lambda: peer.seen["saslStart"])
            await eventually(driver, is_busy)  # making them
            if ending == "timeout":
                with pytest.raises((NetworkTimeout, ServerSelectionTimeoutError)):
                    await job.result()
        if ending == "close":
            with pytest.raises(PyMongoError):
                await job.result()
        await eventually(driver, lambda: not is_busy())


def is_busy():
    before = time.process_time()
    time.sleep(0.3)
    return time.process_time() - before > 0.03
