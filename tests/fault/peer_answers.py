"""What a sane server answers: hello by role, cursors, writes, transactions, SCRAM.

The part of `peer.py` that knows commands. Each function takes a `peer.Request`.
"""

import base64
import hashlib
import hmac
import time

from bson import Int64, ObjectId, Timestamp

COMMON = {
    "helloOk": True, "ok": 1.0, "minWireVersion": 0, "maxWireVersion": 21,
    "maxBsonObjectSize": 16 * 1024 * 1024, "maxMessageSizeBytes": 48_000_000,
    "maxWriteBatchSize": 100_000, "logicalSessionTimeoutMinutes": 30, "readOnly": False,
}  # fmt: skip


def standalone(request):
    return {"ismaster": True, **COMMON}


def replica_set(request):
    """The first address is the primary, the others are secondaries."""
    addresses = request.peer.addresses
    primary = request.address == 0
    return {
        "ismaster": primary, "secondary": not primary, "setName": "rs", "setVersion": 1,
        "hosts": addresses, "primary": addresses[0], "me": addresses[request.address], **COMMON,
    } | ({"electionId": ELECTION} if primary else {})  # fmt: skip


def mongos(request):
    return {"ismaster": True, "msg": "isdbgrid", **COMMON}


def load_balancer(request):
    """Each connection comes out at another service, if the client knows what it talks to."""
    known = request.document.get("loadBalanced") is True
    service = {"serviceId": request.connection.service} if known else {}
    return {"ismaster": True, "msg": "isdbgrid", **COMMON, **service}


URI_OPTIONS = {replica_set: {"replicaSet": "rs"}, load_balancer: {"loadBalanced": True}}
ELECTION = ObjectId("7fffffff0000000000000001")


class Cursors:
    """The same documents for every find and aggregate, in batches."""

    def __init__(self):
        self.documents = []
        self.open = {}  # what is left, by cursor id
        self.killed = []

    def first_batch(self, request):
        command = request.document
        size = command.get("batchSize", command.get("cursor", {}).get("batchSize", 101))
        documents = self.documents[: command.get("limit") or None]
        cursor_id = 0
        if len(documents) > size and not command.get("singleBatch"):
            cursor_id = 1000 + len(self.open) + len(self.killed)
        return self._reply("firstBatch", request, cursor_id, documents, size)

    def next_batch(self, request):
        cursor_id = request.document["getMore"]
        left = self.open.pop(cursor_id, None)
        if left is None:
            return {"ok": 0.0, "code": 43, "errmsg": "cursor id not found"}
        size = request.document.get("batchSize", 101)
        return self._reply("nextBatch", request, cursor_id, left, size)

    def kill(self, request):
        cursors = request.document["cursors"]
        killed = [cursor for cursor in cursors if self.open.pop(cursor, None) is not None]
        self.killed += killed
        return {"ok": 1.0, "cursorsKilled": killed, "cursorsNotFound": []}

    def _reply(self, batch, request, cursor_id, documents, size):
        left = documents[size:] if batch == "firstBatch" or size else []
        if cursor_id and left:
            self.open[cursor_id] = left
        else:
            cursor_id = 0
        collection = request.document.get("collection", request.document.get(request.name))
        namespace = f"{request.document['$db']}.{collection}"
        cursor = {batch: documents[:size], "id": Int64(cursor_id), "ns": namespace}
        return {"ok": 1.0, "cursor": cursor}


def written(request):
    """How many statements it were. That is all a client learns of an insert."""
    statements = {"insert": "documents", "update": "updates", "delete": "deletes"}[request.name]
    count = len(request.document[statements])
    return {"ok": 1.0, "n": count} | ({"nModified": count} if request.name == "update" else {})


def scram_first(request):
    """Anybody who asks by SCRAM-SHA-256 is let in; the password is "secret"."""
    first = bytes(request.document["payload"]).decode().removeprefix("n,,")
    nonce = first.rpartition("r=")[2]
    answer = f"r={nonce}more,s={base64.b64encode(SALT).decode()},i=4096"
    request.connection.said = f"{first},{answer}"
    return {"ok": 1.0, "conversationId": 1, "done": False, "payload": answer.encode()}


def scram_final(request):
    """Shows that the server knows the password too."""
    payload = bytes(request.document["payload"]).decode()
    if payload:
        said = f"{request.connection.said},{payload.rpartition(',p=')[0]}"
        salted = hashlib.pbkdf2_hmac("sha256", b"secret", SALT, 4096)
        key = hmac.digest(salted, b"Server Key", "sha256")
        payload = "v=" + base64.b64encode(hmac.digest(key, said.encode(), "sha256")).decode()
    return {"ok": 1.0, "conversationId": 1, "done": True, "payload": payload.encode()}


SALT = b"sixteen bytes...!"


def ordinary(request):
    """The answer to anything but hello, with what a server adds to all of them."""
    cursors = request.peer.cursors
    answers = {
        "find": cursors.first_batch, "aggregate": cursors.first_batch,
        "getMore": cursors.next_batch, "killCursors": cursors.kill,
        "insert": written, "update": written, "delete": written,
        "saslStart": scram_first, "saslContinue": scram_final,
    }  # fmt: skip
    if request.name in answers:
        answer = answers[request.name](request)
    elif request.name in PLAIN:
        answer = {"ok": 1.0}
    else:
        answer = {"ok": 0.0, "code": 59, "errmsg": f"no such command: '{request.name}'"}
    if request.peer.role is not standalone and "lsid" in request.document:
        answer["operationTime"] = Timestamp(int(time.time()), 1)
    # A sharded cluster names the member that can recover the transaction's commit.
    if request.peer.role in (mongos, load_balancer) and "txnNumber" in request.document:
        if request.document.get("autocommit") is False:
            answer["recoveryToken"] = {"recoveryId": request.address}
    return answer


PLAIN = {"ping", "endSessions", "commitTransaction", "abortTransaction", "create", "drop"}
