"""From `MongoClient(host, port, **options)` to the engine's settings.

PyMongo's parser and validators decide what an option may be, what it defaults to and what the
error says. An option that needs what ferromongo lacks is refused: to ignore it would be worse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from pymongo import common
from pymongo.client_options import ClientOptions
from pymongo.errors import ConfigurationError
from pymongo.server_api import ServerApi
from pymongo.uri_parser import split_hosts

from ferromongo._calls.compressors import parse_with_compressors, validate_compressors
from ferromongo._calls.guard import validate_guard
from ferromongo._calls.metadata import handshake_metadata, named_drivers
from ferromongo._calls.srv import SrvSource, srv_source, wrong_record
from ferromongo._calls.transaction_log import TransactionLog, validate_log
from ferromongo._pymongo_internals import (
    CaseInsensitiveDictionary,
    check_option_conflicts,
    is_faas,
    normalize_option_names,
    normalize_security_options,
    parse_srv,
    parse_uri,
    warn_of_deprecated_options,
)
from ferromongo.typings import Address


class ClientSettings(NamedTuple):
    """Everything a client is made of."""

    named: tuple[Address, ...]
    """The hosts as given, unique and in order; that of a mongodb+srv:// URI without a port."""
    seeds: tuple[Address, ...]
    """Where to begin: the same, or what was looked up."""
    default_database: str | None
    given: Mapping[str, Any]
    """The validated options by the names the caller used, for repr."""
    options: ClientOptions
    engine: dict[str, Any]
    """The `settings` of `_core.Client`. Secrets are removed once the engine has them."""
    srv: SrvSource | None
    """Where the seeds of a mongodb+srv:// URI come from."""
    look_up: Callable[[], ClientSettings] | None
    """Asks the name server what is missing here; None if nothing is."""
    transaction_guard: str
    """What happens to operations that are outside of a transaction by mistake."""
    transaction_log: TransactionLog | None

    def kept(self) -> ClientSettings:
        """What a client keeps: no password except those in PyMongo's own objects."""
        engine = {name: value for name, value in self.engine.items() if name not in _HOLD_SECRETS}
        return self._replace(engine=engine)


def client_settings(
    host: str | Sequence[str] | None,
    port: int | None,
    keywords: dict[str, Any],
    *,
    default_host: str,
    default_port: int,
    is_sync: bool,
) -> ClientSettings:
    hosts = [default_host] if host is None else [host] if isinstance(host, str) else list(host)
    if port is None:
        port = default_port
    if not isinstance(port, int):
        raise TypeError(f"port must be an instance of int, not {type(port)}")
    keywords = dict(keywords)
    guard = validate_guard(keywords.pop("transaction_guard", "log"))
    log = validate_log(keywords.pop("transaction_log", None))
    named, uri = _parse_hosts(hosts, port, CaseInsensitiveDictionary(keywords))
    return _complete(_Given(hosts, named, keywords, is_sync, guard, log), named, uri)


def describe(settings: ClientSettings) -> str:
    """The arguments that make such a client again, for repr; nothing secret."""
    given = settings.given
    hosts: str | list[str]
    if settings.srv is not None and settings.look_up is not None:
        hosts = f"mongodb+srv://{settings.srv.name}"
    else:
        hosts = [host if port is None else f"{host}:{port}" for host, port in settings.seeds]
    first = ("document_class", "tz_aware", "connect")
    others = [name for name in given if name not in (*first, *_SECRETS)]
    shown = [f"host={hosts!r}"]
    for name in (*first, *others):
        value = given[name]
        if name == "document_class":
            text = "dict" if value is dict else f"{value.__module__}.{value.__name__}"
        elif name.lower() == "authmechanismproperties":
            text = repr(common.redact_auth_mechanism_properties_for_repr(value))
        elif name in common.TIMEOUT_OPTIONS and value is not None:
            text = str(int(value * 1000))
        else:
            text = repr(value)
        shown.append(f"{name}={text}")
    return ", ".join(shown)


class _Given(NamedTuple):
    """What is kept for the look-up, which goes through all of it again."""

    hosts: list[str]
    named: tuple[Address, ...]
    keywords: dict[str, Any]
    is_sync: bool
    transaction_guard: str
    transaction_log: TransactionLog | None


def _complete(
    given: _Given,
    seeds: tuple[Address, ...],
    uri: Mapping[str, Any],
    looked_up: Sequence[tuple[str, int]] = (),
) -> ClientSettings:
    merged = _merge(uri.get("options", CaseInsensitiveDictionary()), given.keywords)
    merged = normalize_option_names(normalize_security_options(merged))
    check_option_conflicts(seeds, merged)
    _refuse_unsupported(merged)
    database = uri.get("database")
    username = merged.get("username", uri.get("username") or None)
    password = merged.get("password", uri.get("password") or None)
    options = ClientOptions(username, password, database, merged, given.is_sync)
    if options.heartbeat_frequency < common.MIN_HEARTBEAT_INTERVAL:
        least = common.MIN_HEARTBEAT_INTERVAL * 1000
        raise ConfigurationError(f"heartbeatFrequencyMS cannot be less than {least}")
    name = uri.get("fqdn")
    _check_srv_options(name, merged)
    srv = None if name is None else srv_source(name, merged)
    look_up = None if srv is None or looked_up else partial(_look_up, given, uri, srv, options)
    engine = _engine_settings(seeds, looked_up, options, merged, given.is_sync)
    guard, log = given.transaction_guard, given.transaction_log
    engine["journal"] = None if log is None else log._core
    return ClientSettings(
        given.named, seeds, database, merged, options, engine, srv, look_up, guard, log
    )


def _look_up(
    given: _Given, uri: Mapping[str, Any], srv: SrvSource, options: ClientOptions
) -> ClientSettings:
    def parse(text: str) -> dict[str, Any]:
        return parse_srv(
            text,
            validate=True,
            warn=True,
            normalize=False,
            connect_timeout=options.pool_options.connect_timeout,
            srv_service_name=srv.service,
            srv_max_hosts=srv.max_hosts,
            srv_allowed_hosts_suffix=srv.allowed_suffix,
            srv_host_validator=srv.host_validator,
        )

    [text] = [host for host in given.hosts if "/" in host]
    found = parse_with_compressors(text, parse)
    records = found["nodelist"]
    for record in records:
        if wrong := wrong_record(*record):
            raise ConfigurationError(wrong)
    others = [seed for seed in given.named if seed != (srv.name, None)]
    seeds = tuple(dict.fromkeys([*others, *records]))
    return _complete(given, seeds, {**uri, **found}, records)


def _parse_hosts(
    hosts: list[str], port: int, keywords: Mapping[str, Any]
) -> tuple[tuple[Address, ...], Mapping[str, Any]]:
    if sum("/" in host for host in hosts) > 1:
        raise ConfigurationError("host must not contain multiple MongoDB URIs")
    seeds: dict[Address, None] = {}
    uri: Mapping[str, Any] = {}
    parse = partial(
        parse_uri,
        default_port=port,
        validate=True,
        warn=True,
        normalize=False,
        srv_max_hosts=keywords.get("srvmaxhosts"),
    )
    for host in hosts:
        if "/" in host:
            uri = parse_with_compressors(host, parse)
            seeds.update(dict.fromkeys(uri["nodelist"]))
        else:
            seeds.update(dict.fromkeys(split_hosts(host, port)))
    if not seeds:
        raise ConfigurationError("need to specify at least one host")
    return tuple(seeds), uri


def _check_srv_options(name: str | None, options: Mapping[str, Any]) -> None:
    """The rest of PyMongo's rules; its parser has applied those about the URI."""
    if options.get("srv_host_validator") is None:
        return
    if options.get("srvallowedhostssuffix") is not None:
        raise ConfigurationError("Cannot specify both srv_host_validator and srvAllowedHostsSuffix")
    if name is None:
        raise ConfigurationError(
            "The srv_host_validator option is only allowed with 'mongodb+srv://' URIs"
        )


def _merge(from_uri: Any, keywords: dict[str, Any]) -> Any:
    """Options of the URI, overridden by keyword arguments, all validated."""
    options = warn_of_deprecated_options(CaseInsensitiveDictionary(keywords))
    if options.get("tz_aware") is None:
        options["tz_aware"] = from_uri.get("tz_aware", False)
    if options.get("connect") is None:
        options["connect"] = from_uri.get("connect", not is_faas())
    validated = {}
    for name in options:
        cased = options.cased_key(name)
        if name == "compressors":
            validated[cased] = validate_compressors(options[name])
        else:
            key, value = common.validate(cased, options[name])
            validated[key] = value
    from_uri.update(validated)
    return from_uri


def _refuse_unsupported(options: Any) -> None:
    for name in _UNSUPPORTED:
        if options.get(name):
            raise _unsupported(f"the option {options.cased_key(name)}")


def _unsupported(what: str) -> ConfigurationError:
    return ConfigurationError(f"ferromongo does not support {what} yet")


def _engine_settings(
    seeds: Sequence[Address],
    looked_up: Sequence[tuple[str, int]],
    options: ClientOptions,
    merged: Any,
    is_sync: bool,
) -> dict[str, Any]:
    pool = options.pool_options
    return {
        "client_class": "MongoClient" if is_sync else "AsyncMongoClient",
        # Only a seed that the user named may be a Unix domain socket.
        "seeds": [seed for seed in seeds if seed not in looked_up],
        "looked_up_seeds": list(dict.fromkeys(looked_up)),
        "replica_set": options.replica_set_name,
        "direct_connection": bool(options.direct_connection),
        "load_balanced": bool(options.load_balanced),
        "app_name": pool.appname,
        "metadata": handshake_metadata(pool, is_sync),
        "drivers": named_drivers(pool),
        "max_pool_size": merged.get("maxpoolsize", common.MAX_POOL_SIZE) or 0,
        "min_pool_size": pool.min_pool_size,
        "max_idle_time": pool.max_idle_time_seconds,
        "max_connecting": pool.max_connecting,
        "wait_queue_timeout": pool.wait_queue_timeout,
        "server_selection_timeout": options.server_selection_timeout,
        "connect_timeout": pool.connect_timeout,
        "socket_timeout": pool.socket_timeout,
        "local_threshold": options.local_threshold_ms / 1000,
        "heartbeat_frequency": options.heartbeat_frequency,
        "retry_writes": options.retry_writes,
        "retry_reads": options.retry_reads,
        "compressors": merged.get("compressors", []),
        "zlib_level": merged.get("zlibcompressionlevel", -1),
        "credentials": _credentials(options),
        "tls": None if pool._ssl_context is None else _tls_settings(merged),
        "timeout": options.timeout,
        "max_adaptive_retries": options.max_adaptive_retries,
        "overload_retargeting": bool(options.enable_overload_retargeting),
        "events": None,
        "server_api": _server_api(pool.server_api),
        "server_selector": merged.get("server_selector"),
        "poll": options.server_monitoring_mode == "poll"
        or (options.server_monitoring_mode == "auto" and is_faas()),
    }


def _server_api(api: ServerApi | None) -> dict[str, Any] | None:
    if api is None:
        return None
    given = {"apiStrict": api.strict, "apiDeprecationErrors": api.deprecation_errors}
    chosen = {name: value for name, value in given.items() if value is not None}
    return {"apiVersion": api.version, **chosen}


def _tls_settings(merged: Any) -> dict[str, Any]:
    # PyMongo has made a context of the same files, and so raised its errors about them.
    return {
        "ca_file": merged.get("tlscafile"),
        "certificate_key_file": merged.get("tlscertificatekeyfile"),
        "certificate_key_password": merged.get("tlscertificatekeyfilepassword"),
        "crl_file": merged.get("tlscrlfile"),
        "allow_invalid_certificates": merged.get("tlsallowinvalidcertificates", False),
        "allow_invalid_hostnames": merged.get("tlsallowinvalidhostnames", False),
    }


def _credentials(
    options: ClientOptions,
) -> tuple[str, str, str | None, str | None] | None:
    """Mechanism ("DEFAULT" if none was named), source, user and password."""
    given = options.pool_options._credentials
    if given is None:
        return None
    if given.mechanism not in _MECHANISMS:
        raise _unsupported(f"authMechanism={given.mechanism}")
    if given.mechanism == "PLAIN" and "\0" in f"{given.username}{given.password}":
        # NUL is the separator. PyMongo 4.20.1 refuses it too; 4.20.0 would send it.
        raise ConfigurationError("user name and password of PLAIN must not contain NUL characters")
    return given.mechanism, given.source, given.username, given.password


_MECHANISMS = ("DEFAULT", "SCRAM-SHA-1", "SCRAM-SHA-256", "MONGODB-X509", "PLAIN")
_HOLD_SECRETS = ("credentials", "tls")
_SECRETS = (
    "username",
    "password",
    "tlscertificatekeyfilepassword",
    "proxyusername",
    "proxypassword",
)
_UNSUPPORTED = ("auto_encryption_opts",)
