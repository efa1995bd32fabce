"""Client options: what PyMongo makes of them, or a refusal that names what is missing."""

import re
from typing import Any

import pymongo
import pytest
from pymongo.errors import ConfigurationError

from ferromongo import MongoClient, timeout


def made(kind: Any, arguments: dict[str, Any]) -> tuple[Any, ...]:
    """What a client is, or the error it raises, in comparable form."""
    try:
        client = kind(**{"connect": False, **arguments})
    except Exception as error:
        return type(error), str(error)
    options = client.options
    concerns = options.write_concern, options.read_concern, options.read_preference
    default = client.get_default_database("none").name
    # PyMongo shows its hosts in no particular order.
    text = re.sub(r"host=\[[^]]*'\], ", "", repr(client))
    seen = (
        text,
        client.eq_props(),
        client.codec_options,
        concerns,
        options.replica_set_name,
        default,
    )
    client.close()
    return seen


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"host": "example.com", "port": 1234},
        {"host": ["a:1", "b:2", "[::1]:3"]},
        {"host": "mongodb://a:1,b/db?replicaSet=rs&w=2&readPreference=secondary&tz_aware=true"},
        {"host": "mongodb://a/?retryWrites=false&maxPoolSize=3&waitQueueTimeoutMS=50"},
        {"host": "mongodb://a/?w=1", "w": "majority", "journal": True},
        {"host": "mongodb://a/?socketTimeoutMS=2000", "serverSelectionTimeoutMS": 10},
        {"readConcernLevel": "majority", "uuidRepresentation": "standard"},
        {"maxPoolSize": None, "minPoolSize": 5},
        {"minPoolSize": 5, "maxPoolSize": 2},
        {"maxPoolSize": -1},
        {"port": "27017"},
        {"host": []},
        {"host": "mongodb://"},
        {"host": "http://a/"},
        {"host": "mongodb://a:99999"},
        {"host": ["mongodb://a/", "mongodb://b/"]},
        {"host": ["a", "b"], "directConnection": True},
        {"nonsense": 1},
        {"w": -1},
        {"w": 0, "journal": True},
        {"readPreference": "nearby"},
        {"tz_aware": "yes"},
        {"document_class": 3},
        {"compressors": "zlib", "zlibCompressionLevel": 3},
        {"compressors": ["zlib"]},
        {"compressors": None},
        {"compressors": 3},
        {"host": "mongodb://a/?compressors=zlib&zlibCompressionLevel=-1&w=1"},
        {"host": "mongodb://a/?w=1;Compressors=zlib", "compressors": []},
        {"host": "mongodb://a/?compressors="},
        {"zlibCompressionLevel": 10},
        {"zlibCompressionLevel": "x"},
        {"username": "u", "password": "p"},
        {"host": "mongodb://u:p@a/", "username": "v"},
        {"host": "mongodb://u%40:p%3A%25@a/db?authSource=x&authMechanism=SCRAM-SHA-1"},
        {"username": "u"},
        {"host": "mongodb://u@a/"},
        {"host": "mongodb://u@a/", "password": "p"},
        {"authMechanism": "SCRAM-SHA-256"},
        {"authMechanism": "MONGODB-X509", "password": "p"},
        {"authMechanism": "MONGODB-X509", "authSource": "x"},
        {"username": "u", "password": "p", "authMechanism": "MONGODB-CR"},
        {"username": "u", "authMechanism": "PLAIN"},
        {"username": "u", "authMechanism": "GSSAPI", "authSource": "x"},
        {"authSource": "x"},
        {"host": "mongodb://u:p@a/?authSource="},
        {"host": "mongodb://:p@a/"},
        {"host": "mongodb://u:p@@a/"},
        {"host": "mongodb://a/?loadBalanced=true"},
        {"loadBalanced": False, "replicaSet": "rs"},
        {"host": "mongodb://a,b/?loadBalanced=true"},
        {"host": "mongodb://a,b/", "loadBalanced": True},
        {"host": "mongodb://a/?loadBalanced=true&replicaSet=rs"},
        {"host": "mongodb://a/?loadBalanced=true&directConnection=true"},
        {"loadBalanced": "perhaps"},
        {"tls": True},
        {"tls": False, "tlsCAFile": __file__},
        {"tlsCAFile": "missing.pem"},
        {"tlsCAFile": __file__},
        {"tlsCertificateKeyFile": __file__},
        {"tlsInsecure": True, "tlsAllowInvalidHostnames": True},
        {"tlsAllowInvalidCertificates": "perhaps"},
        {"host": "mongodb://a/?tls=true&ssl=false"},
        {"host": "mongodb://a/?tlsInsecure=true&tlsDisableOCSPEndpointCheck=true"},
        {"host": "mongodb+srv://u:p@Cluster.Example.com/db?authSource=x&srvMaxHosts=2"},
        {"host": "mongodb+srv://a.b.c/?srvServiceName=x&compressors=zlib", "srvMaxHosts": 0},
        {"host": "mongodb+srv://a.b.c", "srvServiceName": "x", "srvAllowedHostsSuffix": "c.d"},
        {"host": "mongodb+srv://a.b.c/?tls=false", "tls": True, "connectTimeoutMS": 7000},
        {"host": "mongodb+srv://a.b.c", "srv_host_validator": bool},
        {"host": "mongodb+srv://a.b.c", "srv_host_validator": 1},
        {"host": "mongodb+srv://a.b.c", "srvMaxHosts": -1},
        {"host": "mongodb+srv://a.b.c", "port": 27018},
        {"host": ["mongodb+srv://a.b.c", "d:1"]},
        {"host": "mongodb+srv://a.b.c:27017"},
        {"host": "mongodb+srv://a.b.c,d.e.f"},
        {"host": "mongodb+srv://a.b.c/?directConnection=true"},
        {"host": "mongodb+srv://a.b.c", "directConnection": True},
        {"host": "mongodb://a/?srvMaxHosts=1"},
        {"host": "mongodb://a/", "srvMaxHosts": 1},
        {"host": "mongodb://a/?srvServiceName=x"},
        {"host": "mongodb://a/", "srvServiceName": "x"},
        {"host": "mongodb://a/?srvAllowedHostsSuffix=b.c"},
    ],
    ids=str,
)
def test_as_pymongo(arguments: dict[str, Any]) -> None:
    assert made(MongoClient, arguments) == made(pymongo.MongoClient, arguments)


@pytest.mark.parametrize("kind", [MongoClient, pymongo.MongoClient])
@pytest.mark.parametrize(
    "arguments",
    [
        {"host": "mongodb://a/"},
        {"host": "mongodb+srv://a.b.c/?srvAllowedHostsSuffix=b.c"},
        {"host": "mongodb+srv://a.b.c/", "srvAllowedHostsSuffix": "b.c"},
    ],
    ids=str,
)
def test_where_a_host_validator_does_not_go(kind: Any, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="srv_host_validator"):
        kind(connect=False, srv_host_validator=bool, **arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"username": "u", "authMechanism": "GSSAPI"}, "authMechanism=GSSAPI"),
        ({"authMechanism": "MONGODB-AWS"}, "authMechanism=MONGODB-AWS"),
        (
            {
                "authMechanism": "MONGODB-OIDC",
                "authMechanismProperties": {"ENVIRONMENT": "k8s"},
            },
            "authMechanism=MONGODB-OIDC",
        ),
    ],
    ids=str,
)
def test_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        MongoClient(connect=False, **arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        {"compressors": "zstd,snappy,zlib"},
        {"compressors": ("zstd", "snappy", "zlib")},
        {"host": "mongodb://a/?compressors=zstd,snappy,zlib&w=1"},
        {"host": "mongodb://a/?w=1;COMPRESSORS=zstd%2Csnappy%2Czlib"},
        {"host": "mongodb://a/?compressors=zlib", "compressors": "zstd,snappy,zlib"},
    ],
    ids=str,
)
def test_all_compressors_are_there_without_other_packages(arguments: dict[str, Any]) -> None:
    with MongoClient(connect=False, **arguments) as client:
        assert "compressors=['zstd', 'snappy', 'zlib']" in repr(client)


@pytest.mark.parametrize(
    "arguments",
    [
        {"compressors": "lz4,zlib"},
        {"compressors": ["lz4", "zlib"]},
        {"host": "mongodb://a/?compressors=lz4,zlib"},
    ],
    ids=str,
)
def test_unknown_compressors_emit_a_warning(arguments: dict[str, Any]) -> None:
    warnings = []
    for kind in (MongoClient, pymongo.MongoClient):
        with pytest.warns(UserWarning, match="^Unsupported compressor") as warned:
            client = kind(connect=False, **arguments)
        warnings.append([str(warning.message) for warning in warned])
        with client:
            assert "compressors=['zlib']" in repr(client)
    assert warnings[0] == warnings[1]  # 4.20.1 names no values that come from a URI


def test_timeout_is_pymongos() -> None:
    assert timeout is pymongo.timeout
