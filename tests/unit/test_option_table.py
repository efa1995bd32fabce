"""Every option of PyMongo's table, and where it ends up: an option that a later PyMongo brings and
nobody here honours fails these tests."""

from __future__ import annotations

import warnings
from datetime import UTC
from typing import Any
from urllib.parse import quote

import pytest
from bson import SON, CodecOptions
from bson.codec_options import DatetimeConversion, TypeRegistry
from pymongo import ReadPreference, common
from pymongo.driver_info import DriverInfo
from pymongo.encryption_options import AutoEncryptionOpts
from pymongo.errors import ConfigurationError
from pymongo.monitoring import CommandListener
from pymongo.server_api import ServerApi
from tests.server.tls_files import encrypted, revocation_list

from ferromongo import MongoClient
from ferromongo._calls.client_settings import _UNSUPPORTED, ClientSettings
from ferromongo.embedded.certificates import make_certificates


class Listener(CommandListener):
    started = succeeded = failed = lambda self, event: None


LISTENER = Listener()
REGISTRY = TypeRegistry(fallback_encoder=str)
SELECTOR = VALIDATOR = lambda given: given

# Settings of the engine: option -> (given, setting, what it becomes). `src/py/client.rs` reads each
# of them, and raises for one that is missing.
ENGINE: dict[str, tuple[Any, str, Any]] = {
    "appname": ("a", "app_name", "a"),
    "compressors": ("zlib", "compressors", ["zlib"]),
    "connecttimeoutms": (1500, "connect_timeout", 1.5),
    "directconnection": (True, "direct_connection", True),
    "enable_overload_retargeting": (True, "overload_retargeting", True),
    "enableoverloadretargeting": (True, "overload_retargeting", True),
    "heartbeatfrequencyms": (700, "heartbeat_frequency", 0.7),
    "loadbalanced": (True, "load_balanced", True),
    "localthresholdms": (20, "local_threshold", 0.02),
    "max_adaptive_retries": (7, "max_adaptive_retries", 7),
    "maxadaptiveretries": (7, "max_adaptive_retries", 7),
    "maxconnecting": (3, "max_connecting", 3),
    "maxidletimems": (2500, "max_idle_time", 2.5),
    "maxpoolsize": (9, "max_pool_size", 9),
    "minpoolsize": (4, "min_pool_size", 4),
    "replicaset": ("rs", "replica_set", "rs"),
    "retryreads": (False, "retry_reads", False),
    "retrywrites": (False, "retry_writes", False),
    "server_api": (
        ServerApi("1", strict=True),
        "server_api",
        {"apiVersion": "1", "apiStrict": True},
    ),
    "server_selector": (SELECTOR, "server_selector", SELECTOR),
    "servermonitoringmode": ("poll", "poll", True),
    "serverselectiontimeoutms": (3500, "server_selection_timeout", 3.5),
    "sockettimeoutms": (4500, "socket_timeout", 4.5),
    "timeoutms": (5500, "timeout", 5.5),
    "waitqueuetimeoutms": (6500, "wait_queue_timeout", 6.5),
    "zlibcompressionlevel": (3, "zlib_level", 3),
}

# Engine settings again, within `tls` or `credentials`. Files are named by what the fixture makes.
TLS: dict[str, tuple[Any, str, Any]] = {
    "tlsallowinvalidcertificates": (True, "allow_invalid_certificates", True),
    "tlsallowinvalidhostnames": (True, "allow_invalid_hostnames", True),
    "tlscafile": ("authority", "ca_file", "authority"),
    "tlscrlfile": ("revoked", "crl_file", "revoked"),
    "tlsinsecure": (True, "allow_invalid_hostnames", True),
    "tlscertificatekeyfile": ("plain", "certificate_key_file", "plain"),
    "tlscertificatekeyfilepassword": ("secret", "certificate_key_password", "secret"),
}
CREDENTIALS: dict[str, tuple[dict[str, Any], int, Any]] = {
    "authmechanism": ({"authMechanism": "PLAIN"}, 0, "PLAIN"),
    "authsource": ({"authSource": "other"}, 1, "other"),
    "username": ({}, 2, "user"),
    "password": ({}, 3, "secret"),
}

# Attributes of the client and of what is made from it.
CLIENT: dict[str, tuple[Any, Any, Any]] = {
    "connect": (False, lambda client: client._used, False),
    "datetime_conversion": (
        "DATETIME_MS", lambda client: _codec(client).datetime_conversion,
        DatetimeConversion.DATETIME_MS,
    ),
    "document_class": (SON, lambda client: _codec(client).document_class, SON),
    "fsync": (True, lambda client: client.write_concern.document, {"fsync": True}),
    "journal": (True, lambda client: client.write_concern.document, {"j": True}),
    "maxstalenessseconds": (120, lambda client: client.read_preference.max_staleness, 120),
    "read_preference": (
        ReadPreference.NEAREST, lambda client: client.db.c.read_preference, ReadPreference.NEAREST,
    ),
    "readconcernlevel": ("majority", lambda client: client.db.c.read_concern.level, "majority"),
    "readpreference": ("secondary", lambda client: client.db.c.read_preference.mode, 2),
    "readpreferencetags": ("dc:ny", lambda client: client.read_preference.tag_sets, [{"dc": "ny"}]),
    "type_registry": (REGISTRY, lambda client: _codec(client).type_registry, REGISTRY),
    "tz_aware": (True, lambda client: _codec(client).tz_aware, True),
    "tzinfo": (UTC, lambda client: _codec(client).tzinfo, UTC),
    "unicode_decode_error_handler": (
        "ignore", lambda client: _codec(client).unicode_decode_error_handler, "ignore",
    ),
    "uuidrepresentation": ("standard", lambda client: _codec(client).uuid_representation, 4),
    "w": (2, lambda client: client.db.c.write_concern.document, {"w": 2}),
    "wtimeoutms": (50, lambda client: client.db.c.write_concern.document, {"wtimeout": 50}),
    "driver": (
        DriverInfo("D"), lambda client: client._settings.engine["drivers"][1], ("D", None, None),
    ),
    "event_listeners": (
        [LISTENER], lambda client: client.options.event_listeners, [LISTENER],
    ),
}  # fmt: skip

# What these mean is tested elsewhere.
ELSEWHERE = {
    "ssl": "tls by another name, and tls itself: below",
    "tls": "below",
    "srvservicename": "tests of mongodb+srv, without which it is refused",
    "srvmaxhosts": "tests of mongodb+srv, without which it is refused",
    "srvallowedhostssuffix": "tests of mongodb+srv, without which it is refused",
    "srv_host_validator": "tests of mongodb+srv, without which it is refused",
}
REFUSED = {
    "auto_encryption_opts": "client-side encryption is not there",
    "authmechanismproperties": "properties belong to the mechanisms that are refused by name",
    "authoidcallowedhosts": "belongs to MONGODB-OIDC, which is refused by name",
}
WITHOUT_EFFECT = {
    "waitqueuemultiple": "PyMongo validates it and has no use for it since version 4.0",
    "tlsdisableocspendpointcheck": "OCSP is never asked, so no endpoint is",
}
TABLES = (ENGINE, TLS, CREDENTIALS, CLIENT, ELSEWHERE, REFUSED, WITHOUT_EFFECT)

NEEDED: dict[str, dict[str, Any]] = {
    "maxstalenessseconds": {"readPreference": "nearest"},
    "readpreferencetags": {"readPreference": "nearest"},
    "tzinfo": {"tz_aware": True},
    "zlibcompressionlevel": {"compressors": "zlib"},
    "directconnection": {"host": "a"},
}


def test_each_option_has_one_place() -> None:
    named = [option for table in TABLES for option in table]
    assert sorted(named) == sorted(common.VALIDATORS)


def test_only_these_are_refused() -> None:
    assert set(_UNSUPPORTED) == {"auto_encryption_opts"}


def made(option: str, given: Any, way: str) -> MongoClient[Any]:
    needed = NEEDED.get(option, {})
    if way == "keyword":
        return client({option: given, **needed})
    host = needed.get("host", "h")
    more = {name: value for name, value in needed.items() if name != "host"}
    return client({"host": f"mongodb://{host}/?{option}={_text(given)}", **more})


@pytest.fixture(autouse=True)
def all_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients show what they handed to the engine, secrets included."""
    monkeypatch.setattr(ClientSettings, "kept", lambda settings: settings)


def client(arguments: dict[str, Any]) -> MongoClient[Any]:
    return MongoClient(**{"connect": False, **arguments})


def ways(table: dict[str, Any]) -> Any:
    return pytest.mark.parametrize(
        ("option", "way"),
        [(option, "keyword") for option in table]
        + [(option, "URI") for option in table if option in URI_OPTIONS],
    )


# The validators of the rest take objects.
URI_OPTIONS = set(common.URI_OPTIONS_VALIDATOR_MAP) - {"driver", "server_api"}


@ways(ENGINE)
def test_engine_settings(option: str, way: str) -> None:
    given, setting, expected = ENGINE[option]
    with made(option, given, way) as changed, MongoClient(connect=False) as plain:
        assert changed._settings.engine[setting] == expected
        assert plain._settings.engine[setting] != expected


@ways(CLIENT)
def test_client_attributes(option: str, way: str) -> None:
    given, look, expected = CLIENT[option]
    with made(option, given, way) as changed:
        assert look(changed) == expected
    if option not in ("connect", "driver"):
        with MongoClient(connect=False) as plain:
            assert look(plain) != expected


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    made = make_certificates(folder)
    return {
        "authority": str(made.ca_file),
        "plain": str(made.client_file),
        "encrypted": str(encrypted(folder, made, "secret")),
        "revoked": str(revocation_list(folder, made, of_server=True)),
    }


@ways(TLS)
def test_tls_settings(option: str, way: str, files: dict[str, str]) -> None:
    given, setting, expected = TLS[option]
    given, expected = files.get(given, given), files.get(expected, expected)
    needed: dict[str, Any] = {"tls": True}
    if option == "tlscertificatekeyfilepassword":
        needed["tlsCertificateKeyFile"] = files["encrypted"]
    if way == "keyword":
        options = {option: given}
    else:
        options = {"host": f"mongodb://h/?{option}={_text(given)}"}
    with client({**needed, **options}) as changed:
        assert changed._settings.engine["tls"][setting] == expected
    with client({"tls": True}) as plain:
        assert plain._settings.engine["tls"][setting] != expected


@pytest.mark.parametrize("name", ["tls", "ssl"])
def test_tls_itself(name: str) -> None:
    for options in ({name: True}, {"host": f"mongodb://h/?{name}=true"}):
        with client(options) as changed:
            assert changed._settings.engine["tls"] is not None
    with client({}) as plain:
        assert plain._settings.engine["tls"] is None


@pytest.mark.parametrize("option", CREDENTIALS)
def test_credentials(option: str) -> None:
    options, index, expected = CREDENTIALS[option]
    with client({"username": "user", "password": "secret", **options}) as keyword:
        assert keyword._settings.engine["credentials"][index] == expected
    query = "&".join(f"{name}={value}" for name, value in options.items())
    with client({"host": f"mongodb://user:secret@h/?{query}"}) as uri:
        assert uri._settings.engine["credentials"][index] == expected
    with client({"username": "other", "password": "else"}) as plain:
        assert plain._settings.engine["credentials"][index] != expected


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"auto_encryption_opts": object.__new__(AutoEncryptionOpts)}, "auto_encryption_opts"),
        (
            {
                "username": "u",
                "authMechanism": "GSSAPI",
                "authMechanismProperties": "SERVICE_NAME:other",
            },
            "authMechanism=GSSAPI",
        ),
        (
            {
                "authMechanism": "MONGODB-OIDC",
                "authMechanismProperties": {"ENVIRONMENT": "k8s"},
                "authOIDCAllowedHosts": ["a"],
            },
            "authMechanism=MONGODB-OIDC",
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_refused_by_name(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=f"does not support .*{named}"):
        MongoClient(connect=False, **arguments)


def test_without_effect_but_validated() -> None:
    """With PyMongo too `tlsDisableOCSPEndpointCheck=False` turns TLS on."""
    with client({"waitQueueMultiple": 3, "tlsDisableOCSPEndpointCheck": False}) as changed:
        assert changed._settings.engine["tls"] is not None
    with pytest.raises(ValueError, match="waitQueueMultiple"):
        client({"waitQueueMultiple": -3})
    with pytest.raises(TypeError, match="authOIDCAllowedHosts"):
        client({"authOIDCAllowedHosts": "a"})
    with pytest.raises(TypeError, match="auto_encryption_opts"):
        client({"auto_encryption_opts": 3})
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        client({"host": "mongodb://h/?waitQueueMultiple=x&nobodyKnows=3"}).close()
    assert len(warned) == 2


def _codec(client: MongoClient[Any]) -> CodecOptions[Any]:
    """As it reaches the collections."""
    return client.db.c.codec_options


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else quote(str(value), safe=":")
