"""Strings of a user stay strings: none becomes a command, an operator or a field of its own.

Whatever is given arrives whole, in one command of the name that was meant, or is refused before
anything is sent.
"""

import bson
import pytest
from bson.errors import BSONError
from pymongo.errors import PyMongoError
from tests.drivers import both_drivers
from tests.fault.peer import Peer
from tests.fault.peer_answers import replica_set

STRINGS = {
    "NUL": "a\0b", "NUL in front": "\0a", "NUL behind": "a\0", "CRLF": "a\r\nb",
    "an operator": "$where", "an operator within": "a.$set", "a command": "$cmd",
    "a path": "../../etc", "dots": "..", "empty": "", "a space": " ", "quotes": "'\"`;--",
    "JSON": '{"$gt": ""}', "BSON": "\x05\x00\x00\x00\x00", "a URI": "mongodb://u:p@h/?tls=false",
    "options": "x&tls=false&authSource=admin", "percent": "%00%0d%0a", "a slash": "a/b",
    "right to left": "a\u202eb", "no character": "a\ud800b", "long": "x" * 3000,
    "a reserved field": "$db", "two hosts": "a,b:1", "markup": "<script>",
}  # fmt: skip
# What is done with the string, and the command that is meant.
PLACES = {
    "database": (lambda client, text: client[text].c.find_one({"x": 1}), "find"),
    "collection": (lambda client, text: client.db[text].find_one({"x": 1}), "find"),
    "a value": (lambda client, text: client.db.c.find_one({"x": text}), "find"),
    "a field": (lambda client, text: client.db.c.find_one({text: 1}), "find"),
    "a projection": (lambda client, text: client.db.c.find_one({}, {text: 1}), "find"),
    "a sort key": (lambda client, text: client.db.c.find_one({}, sort=[(text, 1)]), "find"),
    "a hint": (lambda client, text: client.db.c.find_one({}, hint=text), "find"),
    "a comment": (lambda client, text: client.db.c.find_one({}, comment=text), "find"),
    "an inserted field": (lambda client, text: client.db.c.insert_one({text: 1}), "insert"),
    "an inserted value": (lambda client, text: client.db.c.insert_one({"x": text}), "insert"),
    "many inserted": (lambda client, text: client.db.c.insert_many([{text: 1}] * 3), "insert"),
    "an updated field": (
        lambda client, text: client.db.c.update_one({}, {"$set": {text: 1}}), "update"
    ),
    "an update": (lambda client, text: client.db.c.update_one({}, {text: 1}), "update"),
    "a replacement": (lambda client, text: client.db.c.replace_one({}, {text: 1}), "update"),
    "a deleted field": (lambda client, text: client.db.c.delete_one({text: 1}), "delete"),
    "a new collection": (
        lambda client, text: client.db.create_collection(text, check_exists=False), "create"
    ),
    "a dropped collection": (lambda client, text: client.db.drop_collection(text), "drop"),
    "an argument of a command": (
        lambda client, text: client.db.command("ping", comment=text), "ping"
    ),
}  # fmt: skip
OPTIONS = ("appname", "replicaSet", "username", "password", "authSource")
REFUSALS = (PyMongoError, BSONError, TypeError, ValueError)


@pytest.mark.parametrize("place", PLACES)
@both_drivers
async def test_a_crafted_string_is_sent_unchanged_or_refused(driver, place):
    act, command = PLACES[place]
    wrong = {}
    with Peer(replica_set) as peer:
        uri = peer.uri(retryReads=False, retryWrites=False)
        async with driver.client(uri) as client:
            for name, text in STRINGS.items():
                before = len(peer.of())
                try:
                    await act(client, text)
                except REFUSALS as error:
                    refused = error
                else:
                    refused = None
                sent = peer.of()[before:]
                if refused is not None and not sent:
                    continue
                fits = [request.name for request in sent] == [command]
                fits = fits and arrived(place, text, sent[0].document)
                if not fits:
                    wrong[name] = (refused, sent)
    assert wrong == {}


def arrived(place, text, document):
    if place in ("a hint", "a comment") and not text:  # as if none was given
        return place.removeprefix("a ") not in document
    if place == "database":
        return document["$db"] == text
    if place in ("collection", "a new collection", "a dropped collection"):
        return document["$db"] == "db" and next(iter(document.values())) == text
    return document["$db"] == "db" and text in strings(document)


def strings(value):
    """All keys and strings within."""
    if isinstance(value, dict):
        return {*value, *(found for inner in value.values() for found in strings(inner))}
    if isinstance(value, list):
        return {found for inner in value for found in strings(inner)}
    return {value} if isinstance(value, str) else set()


@pytest.mark.parametrize("option", OPTIONS)
@both_drivers
async def test_a_crafted_option_is_sent_unchanged_or_refused(driver, option):
    async def attempt(text):
        with Peer() as peer:
            options = {option: text}
            if option in ("username", "password", "authSource"):
                options = {"username": "user", "password": "secret", **options}
            try:
                client = driver.client(peer.uri(serverSelectionTimeoutMS=1000), **options)
                async with client:
                    await client.admin.command("ping")
            except REFUSALS:
                pass
            hellos = [bson.encode(request.document) for request in peer.of("hello")]
            others = set(peer.seen) - {"saslStart", "saslContinue", "ping", "endSessions"}
            if others or not all(bson.decode(hello) for hello in hellos):
                return (others, peer.requests)
            clients = [request.document.get("client", {}) for request in peer.of("hello")]
            names = {client.get("application", {}).get("name") for client in clients}
            if option == "appname" and not names <= {text, None}:
                return names
            return None

    # At once: most of them wait for the time limit of server selection.
    jobs = {name: driver.start(attempt, text) for name, text in STRINGS.items()}
    outcomes = {name: await job.result() for name, job in jobs.items()}
    assert {name: wrong for name, wrong in outcomes.items() if wrong is not None} == {}
