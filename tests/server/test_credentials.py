"""Right and wrong credentials of every kind, with and without TLS: the right ones open the door,
the wrong ones fail soon and as PyMongo says it. The subtler cases are in `test_auth.py`."""

import functools

import pymongo
import pytest
from cryptography import x509
from pymongo.errors import PyMongoError
from tests.drivers import both_drivers, takes

from ferromongo.embedded import ReplicaSet

MECHANISMS = [None, "SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509"]
# Laid over the right options. A password is one too many for MONGODB-X509, and so is a source.
CREDENTIALS = {
    "right": {},
    "wrong password": {"password": "other"},
    "wrong user": {"username": "CN=nobody"},
    "wrong source": {"authSource": "test"},
    "none": {"username": None, "password": None},
}
# A ValueError says what does not go together.
REFUSALS = (PyMongoError, ValueError)


class Door:
    """A server that wants authentication, and what it tells PyMongo's clients."""

    def __init__(self, transport, replica_set):
        self.transport = transport
        self._replica_set = replica_set
        self._certified = "CN=client"
        if transport != "plain":
            text = replica_set.client_certificate_file.read_bytes()
            self._certified = x509.load_pem_x509_certificate(text).subject.rfc4514_string()
        external = {"createUser": self._certified, "roles": [{"role": "root", "db": "admin"}]}
        with pymongo.MongoClient(replica_set.uri) as admin:
            admin.admin.command("createUser", "both", pwd="p", roles=["root"])
            admin["$external"].command(external)
        self.pymongo_says = functools.cache(self._pymongo_says)

    def options(self, mechanism, credentials):
        """The arguments of a client."""
        certificate = self._replica_set.client_certificate_file if self.transport != "plain" else ""
        options = {"host": self._replica_set.members[0].address, "directConnection": True}
        if mechanism == "MONGODB-X509":
            user = {"username": self._certified}
            if credentials == "none":  # who has no certificate is nobody
                certificate = ""
                options["serverSelectionTimeoutMS"] = 500
        else:
            user = {"username": "both", "password": "p"}
            if self.transport == "tls":
                certificate = ""
        if self.transport != "plain":
            options["tlsCAFile"] = str(self._replica_set.ca_file)
        if certificate:
            options["tlsCertificateKeyFile"] = str(certificate)
        if mechanism is not None:
            options["authMechanism"] = mechanism
        given = {**options, **user, **CREDENTIALS[credentials]}
        return {name: value for name, value in given.items() if value is not None}

    def _pymongo_says(self, mechanism, credentials):
        try:
            with pymongo.MongoClient(**self.options(mechanism, credentials)) as client:
                client.test.doors.find_one()
                return users(client.admin.command("connectionStatus"))
        except REFUSALS as error:
            return told(error)


@pytest.fixture(scope="module", params=["plain", "tls", "mutual"])
def door(request):
    tls = {"plain": False, "tls": True, "mutual": "mutual"}[request.param]
    with ReplicaSet(auth=True, tls=tls) as replica_set:
        yield Door(request.param, replica_set)


@pytest.fixture
def expected(door, mechanism, credentials):
    return door.pymongo_says(mechanism, credentials)


def users(status):
    return [user["user"] for user in status["authInfo"]["authenticatedUsers"]]


def told(error):
    details = getattr(error, "details", None) or {}
    return type(error), getattr(error, "code", None), details.get("errmsg")


@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("mechanism", MECHANISMS)
@both_drivers
async def test_credentials(driver, door, mechanism, credentials, expected):
    options = door.options(mechanism, credentials)
    with takes(0, 8):
        try:
            async with driver.client(**options) as client:
                await client.test.doors.find_one()
                seen = users(await client.admin.command("connectionStatus"))
        except REFUSALS as error:
            seen = told(error)
    assert seen == expected
    by_certificate = mechanism == "MONGODB-X509"
    opens = credentials == "right" and not (by_certificate and door.transport == "plain")
    assert (seen == [options.get("username")]) == opens
