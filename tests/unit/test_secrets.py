"""Clients neither keep more copies of a password than PyMongo, nor show it."""

from __future__ import annotations

import gc
import io
import logging
import pickle
import re
import traceback
import types
from typing import Any
from urllib.parse import quote

import pymongo
import pytest
from pymongo.errors import ConfigurationError, PyMongoError

import ferromongo

# Made at run time: a constant of this module would be found in it.
SECRET = "".join(("s3cr3t", "-", "w0rd"))
WAYS: dict[str, Any] = {
    "URI": lambda: {"host": f"mongodb://user:{SECRET}@127.0.0.1:1/"},
    "list": lambda: {"host": [f"mongodb://user:{SECRET}@127.0.0.1:1/"]},
    "keyword": lambda: {"host": "127.0.0.1", "port": 1, "username": "user", "password": SECRET},
    "PLAIN": lambda: {
        "host": f"mongodb://user:{SECRET}@127.0.0.1:1/?authMechanism=PLAIN",
    },
    "SRV": lambda: {"host": f"mongodb+srv://user:{SECRET}@a.sample.test/"},
    "proxy": lambda: {
        "host": f"mongodb://127.0.0.1:1/?proxyHost=h&proxyUsername={SECRET}&proxyPassword={SECRET}"
    },
}


def holders(client: Any) -> list[Any]:
    """Objects within reach of the client that hold a string with the secret in it."""
    gc.collect()
    seen, found, todo = {id(client)}, [], [client]
    while todo:
        holder = todo.pop()
        for held in gc.get_referents(holder):
            if isinstance(held, types.MethodType):
                held = held.__self__
            if isinstance(held, (str, bytes)):
                if SECRET in (held if isinstance(held, str) else held.decode("latin-1")):
                    found.append(holder)
            elif not isinstance(held, NOT_FOLLOWED) and id(held) not in seen:
                if not (isinstance(held, dict) and "__builtins__" in held):
                    seen.add(id(held))
                    todo.append(held)
    return found


NOT_FOLLOWED = (types.ModuleType, type, types.FunctionType, types.BuiltinFunctionType,
                types.CodeType)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Unknown option:UserWarning")
@pytest.mark.filterwarnings("ignore:proxy:UserWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["MongoClient", "AsyncMongoClient"])
def test_a_client_holds_a_password_no_more_often_than_pymongo(name: str, way: str) -> None:
    theirs = holders(getattr(pymongo, name)(**WAYS[way](), connect=False))
    client = getattr(ferromongo, name)(**WAYS[way](), connect=False)
    ours = holders(client)
    assert len(ours) <= len(theirs), ours
    if way in ("URI", "list", "PLAIN"):  # nothing of it but PyMongo's own object
        assert [type(holder).__name__ for holder in ours] == ["MongoCredential"]
    client._core.close()
    client._used = False


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["MongoClient", "AsyncMongoClient"])
def test_no_repr_log_or_traceback_shows_a_password(name: str, way: str) -> None:
    client = getattr(ferromongo, name)(**WAYS[way](), connect=False)
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logging.getLogger().addHandler(handler)
    try:
        things = (client, client["db"], client["db"]["c"], client._core)
        shown = [repr(thing) + str(thing) for thing in things]
        shown.append(repr(client.topology_description))
        for refused in (pickle.dumps, bool, lambda client: client["a b"]):
            try:
                refused(client)
            except Exception:
                shown.append(traceback.format_exc())
    finally:
        logging.getLogger().removeHandler(handler)
    assert SECRET not in "".join([*shown, text.getvalue()])
    client._core.close()


# What follows the secret makes the URI wrong; none of it may come back in an error's text.
WRONG_URIS = (
    "mongodb://user:{0}@h/?compressors={0}&zlibCompressionLevel=99",
    "mongodb://user:{0}@h/?zlibCompressionLevel={0}",
    "mongodb://user:{0}@h/?tls=true&compressors=",
    "mongodb://user:{0}@/",
    "mongodb://user:{0}@h:port/",
    "mongodb://user:{0}@h/?authMechanism=GSSAPI",
    "mongodb://user:{0}@h/?authMechanism=MONGODB-AWS",
    "mongodb://user:{0}@h/?authMechanism=MONGODB-X509",
    "mongodb://user:{0}@h/?authSource=",
    "mongodb://user:{0}@h/?heartbeatFrequencyMS=1",
    "mongodb://user:{0}@h,i/?directConnection=true",
    "mongodb://user:{0}@h,i/?loadBalanced=true",
    "mongodb+srv://user:{0}@h,i/",
    "mongodb+srv://user:{0}@a.b.c:1/",
    "mongodb://user:{0}@h/?tlsInsecure=true&tlsAllowInvalidHostnames=true",
    "mongodb://user:{0}@h/?tls=true&ssl=false",
)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("uri", WRONG_URIS)
def test_no_error_about_a_uri_shows_its_password(uri: str) -> None:
    try:
        ferromongo.MongoClient(uri.format(SECRET), connect=False).close()
    except (PyMongoError, ValueError, TypeError) as error:
        shown = "".join(traceback.format_exception_only(error))
        assert SECRET not in shown


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_proxy_options_are_not_shown() -> None:
    with ferromongo.MongoClient(**WAYS["proxy"](), connect=False) as client:
        assert not re.search("proxy(user|pass)", repr(client), re.IGNORECASE)


@pytest.mark.parametrize(
    "given", [{"username": "a\0b"}, {"password": "a\0b"}, {"username": "\0", "password": "\0"}]
)
@pytest.mark.parametrize("way", ["keyword", "URI"])
@pytest.mark.parametrize("name", ["MongoClient", "AsyncMongoClient"])
def test_plain_refuses_nul_characters(name: str, way: str, given: dict[str, str]) -> None:
    options = {"username": "user", "password": "secret", **given}
    host = "h"
    if way == "URI":
        user, password = quote(options.pop("username")), quote(options.pop("password"))
        host = f"mongodb://{user}:{password}@h/"
    with pytest.raises(ConfigurationError, match=r"PLAIN.*NUL"):
        getattr(ferromongo, name)(host, authMechanism="PLAIN", connect=False, **options)


def test_mechanisms_other_than_plain_accept_nul_characters() -> None:
    ferromongo.MongoClient("h", username="a\0", password="b\0", connect=False).close()
