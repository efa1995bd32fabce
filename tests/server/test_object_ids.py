"""The ObjectIds that inserting makes: the engine's own, as good as `bson.ObjectId()`."""

import datetime
import multiprocessing
import threading
import time

import bson
import pytest


def ids_of(collection, count):
    return collection.insert_many([{} for _ in range(count)]).inserted_ids


def test_they_count_up_within_one_process(database):
    first, *others = ids_of(database.ids, 1000)
    assert type(first) is bson.ObjectId
    counters = [int.from_bytes(new.binary[9:]) for new in (first, *others)]
    assert [(counter - counters[0]) % 2**24 for counter in counters] == list(range(1000))
    assert {new.binary[4:9] for new in others} == {first.binary[4:9]}
    age = datetime.datetime.now(datetime.UTC) - first.generation_time
    assert -datetime.timedelta(seconds=2) < age < datetime.timedelta(minutes=1)


def test_the_document_holds_the_id_and_the_server_too(database):
    for document in ({"a": 1}, bson.SON([("a", 1)])):
        inserted = database.ids.insert_one(document).inserted_id
        assert document["_id"] is inserted
        stored = database.ids.find_one(inserted)
        assert list(stored) == ["_id", "a"]
        assert (stored["_id"], hash(stored["_id"])) == (inserted, hash(inserted))
        assert bson.ObjectId(str(inserted)) == inserted


def test_a_stopped_clock_stops_them(database, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1_234_567_890.5)
    (stopped,) = ids_of(database.ids, 1)
    assert stopped.generation_time == datetime.datetime(
        2009, 2, 13, 23, 31, 30, tzinfo=datetime.UTC
    )
    monkeypatch.setattr(time, "time", lambda: 2.0**32)
    with pytest.raises(OverflowError, match="2106"):
        ids_of(database.ids, 1)


def test_threads_share_the_counter(database):
    made = []
    threads = [
        threading.Thread(target=lambda: made.extend(ids_of(database.ids, 500))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == len(set(made)) == 4000


def test_a_forked_child_has_bytes_of_its_own(client, database):
    (ours,) = ids_of(database.ids, 1)
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()

    def child():
        answers.put(ids_of(database.ids, 1)[0])

    process = context.Process(target=child)
    process.start()
    theirs = answers.get()
    process.join()
    assert theirs.binary[4:9] != ours.binary[4:9]
    assert ids_of(database.ids, 1)[0].binary[4:9] == ours.binary[4:9]


def test_a_clock_that_fails_leaves_the_document_alone(database, monkeypatch):
    def broken():
        raise RuntimeError("no clock")

    documents = [{"a": 1}]
    monkeypatch.setattr(time, "time", broken)
    with pytest.raises(RuntimeError, match="no clock"):
        database.ids.insert_many(documents)
    assert documents == [{"a": 1}]
