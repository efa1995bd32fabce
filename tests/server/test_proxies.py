"""Objects that stand for others: by `__class__` (werkzeug, wrapt), or by `__getattr__` (umongo)."""

import pymongo
import pytest
from bson.codec_options import CodecOptions
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern
from tests.drivers import ferromongo_only, gridfs, package

Collection = package.collection.Collection
Database = package.database.Database


class Proxy:
    """As werkzeug's LocalProxy: of what `find` returns each time."""

    def __init__(self, find):
        object.__setattr__(self, "_find", find)

    __class__ = property(lambda self: type(self._find()))

    def __getattr__(self, name):
        return getattr(self._find(), name)

    def __setattr__(self, name, value):
        setattr(self._find(), name, value)

    def __getitem__(self, key):
        return self._find()[key]

    def __eq__(self, other):
        return self._find() == other

    def __hash__(self):
        return hash(self._find())

    def __iter__(self):
        return iter(self._find())

    def __len__(self):
        return len(self._find())

    def __bool__(self):
        return bool(self._find())

    def __call__(self, *args, **options):
        return self._find()(*args, **options)


def proxy(target):
    return Proxy(lambda: target)


def use(collection, session=None):
    collection.drop(session)
    collection.insert_one({"_id": 1}, session=session)
    collection.insert_many([{"_id": 2}], session=session)
    collection.bulk_write([pymongo.UpdateOne({"_id": 1}, {"$set": {"a": 1}})], session=session)
    assert collection.find_one({"_id": 1}, session=session) == {"_id": 1, "a": 1}
    assert [found["_id"] for found in collection.find(session=session)] == [1, 2]
    assert len(list(collection.aggregate([], session=session))) == 2
    assert collection.count_documents({}, session=session) == 2
    assert list(collection.index_information(session)) == ["_id_"]
    assert collection.options(session) == {}


def test_a_collection_of_a_proxy_of_a_database(database):
    collection = Collection(proxy(database), "x")
    assert collection == database.x
    use(collection)


@ferromongo_only
def test_a_database_of_a_proxy_of_a_client(client, mongodb_database_name):
    database = Database(proxy(client), mongodb_database_name)
    use(database.x)
    assert database.command("ping")["ok"] == 1
    assert database.list_collection_names() == ["x"]
    with client.start_session() as session:
        use(database.x, session)


def test_a_proxy_may_stand_for_another_target_later(client, mongodb_uri, mongodb_database_name):
    with package.MongoClient(mongodb_uri) as other:
        now = client[mongodb_database_name]
        collection = Collection(Proxy(lambda: now), "x")
        use(collection)
        other[mongodb_database_name].x.drop()
        client.close()
        now = other[mongodb_database_name]
        use(collection)


@ferromongo_only
def test_a_proxy_of_a_client_may_stand_for_another_later(mongodb_uri, mongodb_database_name):
    with package.MongoClient(mongodb_uri) as one, package.MongoClient(mongodb_uri) as other:
        now = one
        database = Database(Proxy(lambda: now), mongodb_database_name)
        collection = database.x
        use(collection)
        assert database.command("ping")["ok"] == 1
        one.close()
        now = other
        use(collection)
        assert database.command("ping")["ok"] == 1


def test_a_proxy_of_a_session(client, database):
    with client.start_session() as session:
        use(database.x, proxy(session))
        with session.start_transaction():
            database.x.insert_one({"_id": 3}, session=proxy(session))
        assert database.x.find_one({"_id": 3}, session=proxy(session)) == {"_id": 3}


OPTIONS = {
    "write_concern": WriteConcern("majority"),
    "read_concern": ReadConcern("majority"),
    "codec_options": CodecOptions(tz_aware=True),
    "read_preference": ReadPreference.PRIMARY_PREFERRED,
}


@ferromongo_only
@pytest.mark.parametrize("name", OPTIONS)
def test_a_proxy_of_an_option(database, name):
    use(database.get_collection("x", **{name: proxy(OPTIONS[name])}))
    use(database.with_options(**{name: proxy(OPTIONS[name])}).x)


def test_what_is_dropped_and_stored_may_be_a_proxy(client, database):
    database.drop_collection(proxy(database.x))
    client.drop_database(proxy(client["of_a_proxy"]))
    files = gridfs.GridFS(proxy(database))
    assert gridfs.GridOut(proxy(database.fs), files.put(b"tea")).read() == b"tea"
    key = gridfs.GridFSBucket(proxy(database)).upload_from_stream("tea", b"tea")
    assert files.get(key).read() == b"tea"


@pytest.mark.parametrize("kind", ["MongoClient", "Collection", "str"])
def test_a_proxy_of_something_else_is_refused(client, database, kind):
    target = {"MongoClient": client, "Collection": database.x, "str": "x"}[kind]
    with pytest.raises(TypeError):
        Collection(proxy(target), "x")


class Wrapper:
    """As umongo's, whose cursor class derives from this and from `Cursor`."""

    __slots__ = ("raw",)

    def __init__(self, raw):
        self.raw = raw

    def __getattr__(self, name):
        return getattr(self.raw, name)

    def __next__(self):
        return {"found": next(self.raw)}

    def __iter__(self):
        for found in self.raw:
            yield {"found": found}


def test_a_wrapper_with_slots_derives_from_a_cursor(database):
    class Wrapped(Wrapper, package.cursor.Cursor):
        __slots__ = ()

    database.x.insert_many([{"_id": i} for i in range(5)])
    cursor = Wrapped(database.x.find(batch_size=2))
    assert next(cursor) == {"found": {"_id": 0}}
    assert (cursor.retrieved, cursor.alive) == (2, True)
    assert cursor.cursor_id == cursor.raw.cursor_id != 0
    assert [found["found"]["_id"] for found in cursor] == [1, 2, 3, 4]
    assert (cursor.retrieved, cursor.alive) == (5, False)
    assert [found["_id"] for found in cursor.rewind().raw] == [0, 1, 2, 3, 4]
    cursor = Wrapped(database.x.find(batch_size=2))
    assert cursor.next() == {"_id": 0}
    assert [found["found"]["_id"] for found in cursor] == [1, 2, 3, 4]
    assert (cursor.retrieved, cursor.alive) == (5, False)


@pytest.mark.parametrize(
    "path",
    [
        "cursor.Cursor",
        "cursor.RawBatchCursor",
        "command_cursor.CommandCursor",
        "command_cursor.RawBatchCommandCursor",
        "change_stream.ChangeStream",
        "change_stream.CollectionChangeStream",
        "change_stream.DatabaseChangeStream",
        "change_stream.ClusterChangeStream",
        "asynchronous.cursor.AsyncCursor",
        "asynchronous.command_cursor.AsyncCommandCursor",
        "asynchronous.change_stream.AsyncCollectionChangeStream",
    ],
)
@pytest.mark.parametrize("base", [int, dict, Exception, type("A", (), {"__slots__": ("x",)})])
def test_cursors_have_no_layout_of_their_own(path, base):
    kind = package
    for name in path.split("."):
        kind = getattr(kind, name)
    for bases in ((base, kind), (kind, base)):
        derived = type("Derived", bases, {"__slots__": ()})
        assert issubclass(derived, kind)
        assert derived.__weakrefoffset__ != 0 or base is int
        assert derived[int]
