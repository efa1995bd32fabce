"""How modules look under `ferromongo.install()`: to importers, patches, pickles, other threads."""

from pathlib import Path

from tests.server.install_programs import run


def test_every_way_to_import_gets_our_classes_before_and_after() -> None:
    run("""
        import pymongo, gridfs
        import pymongo.synchronous.collection as before
        from pymongo import MongoClient as Client
        from pymongo.synchronous import database as module_before
        theirs = pymongo.MongoClient
        held = {"module": pymongo.cursor}
        import ferromongo
        from ferromongo.collection import Collection

        ferromongo.install()
        import pymongo.synchronous.collection as after
        from pymongo import MongoClient
        from pymongo.collection import *
        from importlib import import_module
        from pkgutil import resolve_name

        assert after is before and before.Collection is Collection is Collection
        assert MongoClient is Client is pymongo.MongoClient is ferromongo.MongoClient
        assert module_before.Database is ferromongo.database.Database
        assert held["module"].Cursor is ferromongo.cursor.Cursor
        assert getattr(import_module("pymongo.cursor"), "Cursor") is ferromongo.cursor.Cursor
        assert resolve_name("pymongo.collection:Collection") is Collection
        assert resolve_name("gridfs.GridFS") is gridfs.GridFS is ferromongo.gridfs.GridFS
        for _ in range(100):  # often enough for the interpreter to specialize
            assert pymongo.MongoClient is Client
        assert vars(pymongo)["MongoClient"] is Client and "MongoClient" in dir(pymongo)
        assert pymongo.__dict__["ASCENDING"] == 1
        assert not hasattr(pymongo, "nothing")
        try:
            pymongo.nothing
        except AttributeError as error:
            assert "'pymongo' has no attribute 'nothing'" in str(error)
        ferromongo.uninstall()
        assert type(pymongo) is type(ferromongo)
        assert Client is pymongo.MongoClient is theirs is vars(pymongo)["MongoClient"]
        for _ in range(100):
            assert pymongo.MongoClient is theirs
        """)


def test_install_is_idempotent_and_reversible() -> None:
    run("""
        import sys
        import gridfs, pymongo, ferromongo

        def state():
            return {
                (path, name): value
                for path, module in sys.modules.items()
                if path.partition(".")[0] in ("pymongo", "gridfs", "ferromongo")
                for name, value in vars(module).items()
                if name not in ("__warningregistry__", "_installation")
            }

        import ferromongo._install_private_names, ferromongo.gridfs
        classes = [ferromongo.MongoClient, ferromongo.cursor.Cursor, pymongo.MongoClient]
        kinds = [dict(vars(cls)) for cls in classes]
        before, finders = state(), list(sys.meta_path)
        ferromongo.uninstall()
        for _ in range(3):
            ferromongo.install()
            ferromongo.install()
            assert len(sys.meta_path) == len(finders) + 1
            ferromongo.uninstall()
            ferromongo.uninstall()
        assert state() == before and sys.meta_path == finders
        assert [dict(vars(cls)) for cls in classes] == kinds
        assert not ferromongo.installed()
        """)


def test_attributes_of_classes_are_replaced(tmp_path: Path) -> None:
    """Mongo-Thingy has `_client_cls = MongoClient`."""
    (tmp_path / "library.py").write_text("""
from pymongo import MongoClient
from pymongo.collection import Collection
from motor.motor_asyncio import AsyncIOMotorClient

class Meta(type):
    def __setattr__(cls, name, value):
        raise AssertionError("code of the class runs")

    __getattribute__ = __setattr__

class Base:
    client_class = MongoClient
    motor_class = AsyncIOMotorClient
    kept = MongoClient

    class Settings:
        collections = {"all": Collection}
        collection_class = Collection

class Guarded(Base, metaclass=Meta):
    collection_class = Collection

Base.Settings.back = Base
""")
    (tmp_path / "other.py").write_text("from library import Base, Guarded")
    run(
        """
        import pymongo, library, other, ferromongo
        from ferromongo import motor_asyncio

        base = library.Base
        theirs = {"client": pymongo.MongoClient, "collection": pymongo.collection.Collection}
        guarded = type.__dict__["__dict__"].__get__(library.Guarded)
        before = dict(vars(base)), dict(vars(base.Settings)), dict(guarded)

        class Mine(pymongo.MongoClient):  # stays PyMongo's, and so do its attributes
            collection_class = theirs["collection"]

        ferromongo.install()
        ferromongo.install()
        assert base.client_class is base.kept is ferromongo.MongoClient
        assert base.motor_class is motor_asyncio.AsyncIOMotorClient
        assert base.Settings.collection_class is ferromongo.collection.Collection
        assert guarded["collection_class"] is ferromongo.collection.Collection
        assert base.Settings.collections["all"] is theirs["collection"]
        assert Mine.collection_class is theirs["collection"]
        base.kept = other
        ferromongo.uninstall()
        assert base.kept is other
        base.kept = theirs["client"]
        assert (vars(base), vars(base.Settings), guarded) == before
        """,
        cwd=tmp_path,
    )


def test_reloaded_modules_still_show_our_classes() -> None:
    run("""
        import importlib
        import gridfs, pymongo, pymongo.synchronous.collection, gridfs.synchronous.grid_file
        import ferromongo

        ferromongo.install()
        for module in (
            pymongo.synchronous.collection, pymongo.collection, pymongo,
            gridfs.synchronous.grid_file, gridfs,
        ):
            assert importlib.reload(module) is module
        assert pymongo.MongoClient is ferromongo.MongoClient
        assert pymongo.collection.Collection is ferromongo.collection.Collection
        assert pymongo.synchronous.collection.Collection is ferromongo.collection.Collection
        assert gridfs.GridFS is ferromongo.gridfs.GridFS
        assert type(pymongo.collection.__loader__).__name__ == "SourceFileLoader"
        assert pymongo.collection.__spec__.loader is pymongo.collection.__loader__
        ferromongo.uninstall()
        found = pymongo.synchronous.collection.Collection
        assert found.__module__ == "pymongo.synchronous.collection"
        assert pymongo.collection.Collection.__module__ == "pymongo.synchronous.collection"
        assert pymongo.collection.Collection is found
        """)


def test_modules_imported_later(tmp_path: Path) -> None:
    (tmp_path / "lazy.py").write_text(
        "import gridfs, pymongo.encryption\n"
        "from pymongo import MongoClient\n"
        "from gridfs.synchronous.grid_file import GridOut\n"
    )
    run(
        """
        import sys
        import ferromongo

        ferromongo.install()
        for name in [name for name in sys.modules if name.startswith("pymongo.encryption")]:
            del sys.modules[name]
        import lazy

        assert lazy.MongoClient is ferromongo.MongoClient
        assert lazy.GridOut is ferromongo.gridfs.GridOut
        assert lazy.pymongo.encryption.__spec__.loader.get_source("pymongo.encryption")
        import pymongo.synchronous.encryption as late
        assert late.MongoClient is ferromongo.MongoClient  # to look at
        assert late.ClientEncryption.__init__.__globals__["MongoClient"] is not late.MongoClient
        ferromongo.uninstall()
        assert late.MongoClient is late.ClientEncryption.__init__.__globals__["MongoClient"]
        """,
        PYTHONPATH=str(tmp_path),
    )


def test_patches_of_pymongos_names_reach_our_classes(mongodb_uri: str) -> None:
    run(
        """
        import sys
        from unittest import mock
        import pymongo, ferromongo

        theirs = pymongo.MongoClient
        ferromongo.install()
        with pymongo.MongoClient(sys.argv[1]) as client:
            with mock.patch("pymongo.collection.Collection.find_one", return_value=5):
                assert client.a.b.find_one({}) == 5
            assert client.a.b.find_one({}) is None
        for autospec in (None, True):
            with mock.patch("pymongo.MongoClient", autospec=autospec) as fake:
                assert pymongo.MongoClient is fake
                from pymongo import MongoClient
                assert MongoClient is fake
            assert pymongo.MongoClient is ferromongo.MongoClient
        with mock.patch("pymongo.MongoClient", spec=True) as fake:
            assert isinstance(fake(), ferromongo.MongoClient)
        with mock.patch.object(pymongo.synchronous.collection, "Collection") as fake:
            assert pymongo.synchronous.collection.Collection is fake
        with mock.patch.dict(vars(pymongo), {"MongoClient": 5}):
            pass  # gets a view of its own, and sets back what it has changed
        view = vars(pymongo)
        view["MongoClient"], view["added"] = 5, 6
        assert pymongo.MongoClient == 5 and pymongo.added == 6 == vars(pymongo)["added"]
        view.update(MongoClient=ferromongo.MongoClient)
        assert view.pop("added") == 6 and not hasattr(pymongo, "added")
        assert pymongo.MongoClient is ferromongo.MongoClient
        pymongo.database.Database = None
        assert pymongo.database.Database is None
        del pymongo.cursor.Cursor
        assert not hasattr(pymongo.cursor, "Cursor")
        ferromongo.uninstall()
        assert pymongo.database.Database is None and not hasattr(pymongo.cursor, "Cursor")
        assert pymongo.MongoClient is theirs
        """,
        mongodb_uri,
    )


def test_isinstance_pickle_and_inspect(mongodb_uri: str) -> None:
    run(
        """
        import inspect, pickle, sys, typing
        import pymongo.cursor, pymongo.mongo_client, ferromongo

        before = pickle.dumps([pymongo.MongoClient, pymongo.collection.Collection])
        theirs = [pymongo.MongoClient]  # not a name: it stays
        ferromongo.install()
        assert pickle.loads(before) == [ferromongo.MongoClient, ferromongo.collection.Collection]
        assert pickle.loads(pickle.dumps(pymongo.MongoClient)) is ferromongo.MongoClient
        assert pickle.loads(pickle.dumps(pymongo.ASCENDING)) == 1

        class Mine(pymongo.MongoClient[dict]):
            pass

        assert pickle.loads(pickle.dumps(Mine)) is Mine
        with Mine(sys.argv[1]) as client:
            things = client.get_database("a").b
            for package in (pymongo, ferromongo):
                assert isinstance(client, package.MongoClient)
                assert issubclass(Mine, package.mongo_client.MongoClient)
                assert isinstance(things, package.collection.Collection)
                assert isinstance(things.find(), package.cursor.Cursor)
                assert isinstance(client.a, package.database.Database)
                assert not isinstance(client, package.AsyncMongoClient)
            assert not isinstance(client, theirs[0])
        module = inspect.getmodule(pymongo.MongoClient)
        assert module is sys.modules[ferromongo.MongoClient.__module__]
        assert "Rust" not in inspect.getsource(pymongo.MongoClient)
        assert inspect.getmodule(theirs[0]) is pymongo.synchronous.mongo_client
        assert "class MongoClient(" in inspect.getsource(theirs[0])
        assert "MongoClient" in inspect.getsource(pymongo)
        assert ("MongoClient", ferromongo.MongoClient) in inspect.getmembers(pymongo)
        assert inspect.ismodule(pymongo) and "pymongo" in repr(pymongo)

        def function(client: "pymongo.MongoClient"): ...

        assert typing.get_type_hints(function)["client"] is ferromongo.MongoClient
        """,
        mongodb_uri,
    )


def test_a_package_that_derived_classes_before_stays_on_pymongo(
    mongodb_uri: str, tmp_path: Path
) -> None:
    package = tmp_path / "derives"  # as flask_pymongo does
    package.mkdir()
    (package / "__init__.py").write_text(
        """
from gridfs import GridFS
from derives.wrappers import Client

def files(database):
    from pymongo.database import Database as late
    import derives.later
    assert isinstance(database, late) and isinstance(database, derives.later.Database)
    return GridFS(database)
"""
    )
    (package / "later.py").write_text("from pymongo.database import Database")
    (package / "wrappers.py").write_text(
        """
import pymongo
from pymongo import database
from pymongo.collection import Collection as Base

class Client(pymongo.MongoClient):
    def __getitem__(self, name):
        found = super().__getitem__(name)
        assert isinstance(found, database.Database)
        return Database(self, name)

class Database(database.Database):
    def __getitem__(self, name):
        assert isinstance(super().__getitem__(name), Base)
        return Things(self, name)

class Things(Base):
    def first(self):
        return Base.find_one(self, {})
"""
    )
    run(
        """
        import sys, warnings
        import derives, pymongo, ferromongo

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            ferromongo.install()
            ferromongo.install()
        (warning,) = caught
        assert warning.category is RuntimeWarning and warning.filename == "<string>"
        assert "PyMongo: derives." in str(warning.message) and "before" in str(warning.message)
        assert pymongo.MongoClient is ferromongo.MongoClient
        with derives.Client(sys.argv[1]) as client:
            database = client["before_install"]
            database["things"].insert_one({"_id": 1})
            assert database["things"].first() == {"_id": 1}
            files = derives.files(database)
            assert files.get(files.put(b"text")).read() == b"text"
            client.drop_database("before_install")
        ferromongo.uninstall()
        assert derives.wrappers.Base is pymongo.collection.Collection
        """,
        mongodb_uri,
        PYTHONPATH=str(tmp_path),
    )


def test_strange_modules_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "proxy.py").write_text("from pymongo import MongoClient\n")
    run(
        """
        import importlib.util, sys, types
        import pymongo, ferromongo

        class Lying(types.ModuleType):
            @property
            def __dict__(self):
                raise RuntimeError("imports everything")

            def __getattr__(self, name):
                raise RuntimeError("imports everything")

            def __setattr__(self, name, value):
                raise RuntimeError("imports everything")

            @property
            def __class__(self):
                raise RuntimeError("imports everything")

        lying = Lying("lying")
        types.ModuleType.__dict__["__dict__"].__get__(lying)["Held"] = pymongo.MongoClient
        nameless = types.ModuleType("nameless")
        del nameless.__name__
        nameless.Held = pymongo.MongoClient

        class Odd:
            def __eq__(self, other):
                raise RuntimeError
            __hash__ = None

        holder = types.ModuleType("holder")
        holder.odd, holder.Held = Odd(), pymongo.MongoClient
        vars(holder)[5] = "no name"
        sys.modules.update(lying=lying, nameless=nameless, holder=holder, nothing=None, odd=Odd())
        spec = importlib.util.find_spec("proxy")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        lazy = importlib.util.module_from_spec(spec)
        sys.modules["proxy"] = lazy
        spec.loader.exec_module(lazy)
        ferromongo.install()
        true = types.ModuleType.__dict__["__dict__"].__get__(lying)
        assert true["Held"] is holder.Held is nameless.Held is ferromongo.MongoClient
        assert lazy.MongoClient is ferromongo.MongoClient  # imported now
        ferromongo.uninstall()
        assert true["Held"] is holder.Held is nameless.Held is pymongo.MongoClient
        """,
        PYTHONPATH=str(tmp_path),
    )


def test_threads_that_import_and_install(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"late{number}.py").write_text(
            "import time\nfrom pymongo import MongoClient\ntime.sleep(0.002)\n"
            "from pymongo.collection import Collection\n"
            "import pymongo.synchronous.encryption, gridfs\n"
        )
    run(
        """
        import importlib, sys, threading
        import ferromongo
        import pymongo

        sys.setswitchinterval(1e-5)
        failed, stop = [], threading.Event()

        def importer(first):
            try:
                for number in range(first, 40, 4):
                    module = importlib.import_module(f"late{number}")
                    assert module.MongoClient.__name__ == "MongoClient"
            except BaseException as error:
                failed.append(error)

        def switcher():
            try:
                while not stop.is_set():
                    ferromongo.install()
                    ferromongo.uninstall()
            except BaseException as error:
                failed.append(error)

        switchers = [threading.Thread(target=switcher) for _ in range(2)]
        importers = [threading.Thread(target=importer, args=(n,)) for n in range(4)]
        for thread in switchers + importers:
            thread.start()
        for thread in importers:
            thread.join()
        stop.set()
        for thread in switchers:
            thread.join()
        assert not failed, failed
        assert not ferromongo.installed() and type(pymongo) is type(sys)
        ferromongo.install()
        for number in range(40):
            assert sys.modules[f"late{number}"].MongoClient is ferromongo.MongoClient
        """,
        PYTHONPATH=str(tmp_path),
    )


def test_install_while_another_thread_imports(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "from pymongo import MongoClient\n"
        "import __main__\n__main__.imported.set()\n__main__.installed.wait(60)\n"
        "from pymongo.database import Database\n"
    )
    run(
        """
        import threading
        import ferromongo, pymongo

        imported, installed = threading.Event(), threading.Event()
        thread = threading.Thread(target=lambda: __import__("slow"))
        thread.start()
        assert imported.wait(60)
        ferromongo.install()
        installed.set()
        thread.join()
        import slow

        assert slow.MongoClient is ferromongo.MongoClient
        assert slow.Database is ferromongo.database.Database
        """,
        PYTHONPATH=str(tmp_path),
    )


def test_a_fork_while_another_thread_installs() -> None:
    run("""
        import os, threading
        import pymongo, ferromongo
        from ferromongo import _install

        held, release = threading.Event(), threading.Event()

        def hold():
            with _install._lock:
                held.set()
                release.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        held.wait(60)
        child = os.fork()
        if not child:
            ferromongo.install()
            os._exit(pymongo.MongoClient is not ferromongo.MongoClient)
        release.set()
        thread.join()
        assert os.waitpid(child, 0)[1] == 0
        """)


def test_pytest_rewrites_assertions_of_a_suite_that_installs(
    mongodb_uri: str, tmp_path: Path
) -> None:
    (tmp_path / "conftest.py").write_text("import ferromongo\n\nferromongo.install()\n")
    (tmp_path / "test_it.py").write_text(
        f"""
import importlib, pymongo, ferromongo
from pymongo import MongoClient

def test_ours():
    assert MongoClient is pymongo.MongoClient is ferromongo.MongoClient
    with MongoClient({mongodb_uri!r}) as client:
        assert client.admin.command("ping")["ok"] == 1

def test_monkeypatch(monkeypatch):
    monkeypatch.setattr("pymongo.MongoClient", 5)
    assert pymongo.MongoClient == 5
    monkeypatch.undo()
    assert pymongo.MongoClient is MongoClient

def test_that_fails():
    assert len([MongoClient.HOST]) == 2
"""
    )
    said = run(
        """
        import subprocess, sys

        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio", "."],
            capture_output=True, text=True,
        )
        print(ended.stdout + ended.stderr)
        """,
        cwd=tmp_path,
    )
    assert "1 failed, 2 passed" in said, said
    assert "where 1 = len(['localhost'])" in said


def test_classes_of_a_package_that_is_imported_later(tmp_path: Path) -> None:
    """As with Motor: the package is optional, and comes whenever the program imports it."""
    (tmp_path / "optional").mkdir()
    (tmp_path / "optional" / "__init__.py").write_text("from optional.inside import Client\n")
    (tmp_path / "optional" / "inside.py").write_text(
        "from pymongo import MongoClient as Base\n\nclass Client: pass\n\n"
        "def own():\n    import optional\n    return optional.Client is Client\n"
    )
    (tmp_path / "replacement.py").write_text("class Client: pass\n")
    run(
        """
        import sys
        import ferromongo
        from ferromongo import _install_facade, _install_table

        _install_table.CLASSES["optional.inside"] = ("replacement", ("Client",))
        _install_facade.ON_PYMONGO |= {"optional"}
        ferromongo.install()
        ferromongo.install()
        assert "optional" not in sys.modules
        from optional import Client
        import optional.inside, replacement

        assert Client is optional.inside.Client is optional.Client is replacement.Client
        ferromongo.uninstall()
        assert optional.inside.own() and optional.Client is not Client
        ferromongo.install()
        assert optional.Client is replacement.Client
        """,
        PYTHONPATH=str(tmp_path),
    )
