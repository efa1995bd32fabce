"""Authentication, TLS and compression together, and MONGODB-X509, which needs TLS."""

import pymongo
import pytest
from cryptography import x509
from pymongo.errors import OperationFailure
from tests.drivers import both_drivers, package

from ferromongo.embedded import ReplicaSet


@pytest.fixture(scope="module")
def guarded():
    with ReplicaSet(members=3, tls="mutual", auth=True) as replica_set:
        yield replica_set


@pytest.fixture(scope="module")
def subject(guarded):
    """The client certificate's name, which is a user of the server."""
    text = guarded.client_certificate_file.read_bytes()
    name = x509.load_pem_x509_certificate(text).subject.rfc4514_string()
    with pymongo.MongoClient(guarded.uri) as admin:
        admin["$external"].command("createUser", name, roles=[{"role": "root", "db": "admin"}])
    return name


def anonymous(guarded, **options):
    """A client's arguments without a user."""
    return {
        "host": [member.address for member in guarded.members],
        "replicaSet": guarded.name,
        "tlsCAFile": str(guarded.ca_file),
        "tlsCertificateKeyFile": str(guarded.client_certificate_file),
        **options,
    }


async def who_am_i(client):
    status = await client.admin.command("connectionStatus")
    return status["authInfo"]["authenticatedUsers"]


@pytest.mark.parametrize("compressors", [[], ["snappy"], ["zlib"], ["zstd"]])
@both_drivers
async def test_a_password_over_tls(driver, guarded, compressors):
    async with driver.client(guarded.uri, compressors=compressors) as client:
        assert [user["user"] for user in await who_am_i(client)] == ["root"]
        documents = [{"_id": number, "text": "tea " * 100} for number in range(1000)]
        collection = client.test["_".join(["over_tls", driver.name, *compressors])]
        await collection.insert_many(documents)
        assert await collection.find().to_list() == documents


@pytest.mark.parametrize("named", [True, False])
@both_drivers
async def test_a_certificate_is_a_user(driver, guarded, subject, named):
    options = {"username": subject} if named else {}
    arguments = anonymous(guarded, authMechanism="MONGODB-X509", **options)
    async with driver.client(**arguments) as client:
        assert await who_am_i(client) == [{"user": subject, "db": "$external"}]
        async with client.start_session() as session, await session.start_transaction():
            await client.test.certified.insert_one({"by": driver.name}, session=session)


def failure(package, arguments):
    with package.MongoClient(**arguments) as client, pytest.raises(OperationFailure) as caught:
        client.test.certified.find_one()
    return caught.value


@pytest.mark.parametrize("user", ["CN=somebody else", None])
def test_who_is_refused_is_told_as_by_pymongo(guarded, subject, user):
    options = {"authMechanism": "MONGODB-X509", "username": user} if user else {}
    ours, theirs = (
        failure(package, anonymous(guarded, **options)),
        failure(pymongo, anonymous(guarded, **options)),
    )
    assert (type(ours), ours.code, str(ours).split(",")[0]) == (
        type(theirs),
        theirs.code,
        str(theirs).split(",")[0],
    )
