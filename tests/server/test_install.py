"""`ferromongo.install()`, in processes of their own, as it changes all their modules."""

from tests.server.install_programs import run


def test_every_path_leads_to_our_classes() -> None:
    run("""
        import contextlib, importlib, pkgutil, sys
        import pymongo, gridfs
        import ferromongo

        ferromongo.install()
        for info in pkgutil.walk_packages(pymongo.__path__, "pymongo."):
            with contextlib.suppress(ImportError):  # some need packages that are not there
                importlib.import_module(info.name)
        ferromongo.install()  # finds nothing to warn of in any of them
        names = [
            prefix + name
            for prefix in ("", "Async")
            for name in (
                "MongoClient", "Database", "Collection", "Cursor", "RawBatchCursor",
                "CommandCursor", "RawBatchCommandCursor", "ClientSession", "ChangeStream",
                "ClusterChangeStream", "CollectionChangeStream", "DatabaseChangeStream", "GridFS",
                "GridFSBucket", "GridIn", "GridOut", "GridOutCursor",
            )
        ]
        found = set()
        for path, module in list(sys.modules.items()):
            if path.partition(".")[0] in ("pymongo", "gridfs"):
                for name in names:
                    value = vars(module).get(name)
                    if isinstance(value, type):
                        package = value.__module__.partition(".")[0]
                        assert package not in ("pymongo", "gridfs"), (path, name)
                        if package == "ferromongo":
                            found.add(name)
        assert found == set(names), set(names) - found
        assert pymongo.errors.PyMongoError.__module__ == "pymongo.errors"
        """)


def test_a_program_on_pymongo_runs_on_ferromongo(mongodb_uri: str) -> None:
    run(
        """
        import asyncio, sys
        from pymongo import AsyncMongoClient, MongoClient as Client, errors
        from pymongo.collection import Collection
        import bson

        theirs = (Client,)  # not a name of a module: it stays
        import ferromongo
        assert not ferromongo.installed()
        ferromongo.install()
        ferromongo.install()
        assert ferromongo.installed()
        import pymongo
        assert Client is pymongo.MongoClient is ferromongo.MongoClient is not theirs[0]
        from pymongo.asynchronous.collection import AsyncCollection

        with Client(sys.argv[1]) as client:
            things = client.get_database("installed").things
            assert isinstance(things, Collection)
            things.drop()
            key = things.insert_one({"x": 1}).inserted_id
            assert isinstance(key, bson.ObjectId)
            try:
                things.insert_one({"_id": key})
            except errors.DuplicateKeyError as error:
                assert error.code == 11000
            else:
                raise AssertionError

        async def main():
            async with AsyncMongoClient(sys.argv[1]) as client:
                things = client.installed.things
                assert isinstance(things, AsyncCollection)
                assert await things.count_documents({}) == 1
                await client.drop_database("installed")

        asyncio.run(main())
        """,
        mongodb_uri,
    )


def test_what_install_replaced_comes_back() -> None:
    run("""
        import types, sys
        import gridfs, pymongo
        from pymongo import MongoClient, AsyncMongoClient

        before = {
            (path, name): value
            for path, module in sys.modules.items()
            if path.partition(".")[0] in ("pymongo", "gridfs", "__main__")
            for name, value in vars(module).items()
        }
        import ferromongo
        from ferromongo import MongoClient as ours

        ferromongo.install()
        late = types.ModuleType("late")
        sys.modules["late"] = late
        exec("from pymongo import MongoClient", vars(late))
        import pymongo.database
        pymongo.database.Database = patched = object()
        ferromongo.uninstall()
        assert not ferromongo.installed()
        assert pymongo.database.Database is patched
        del before["pymongo.synchronous.database", "Database"]
        for (path, name), value in before.items():
            if name != "__warningregistry__" and (path, name) != ("pymongo.database", "Database"):
                assert vars(sys.modules[path])[name] is value, (path, name)
        assert ours is ferromongo.MongoClient is late.MongoClient
        ferromongo.install()
        assert MongoClient is ours
        """)


def test_gridfs_works_under_its_own_name(mongodb_uri: str) -> None:
    run(
        """
        import sys
        from gridfs import GridFSBucket, NoFile
        import ferromongo

        ferromongo.install()
        from pymongo import MongoClient

        with MongoClient(sys.argv[1]) as client:
            bucket = GridFSBucket(client.installed_files)
            key = bucket.upload_from_stream("a", b"text")
            assert bucket.open_download_stream(key).read() == b"text"
            client.drop_database("installed_files")
            try:
                bucket.delete(key)
            except NoFile:
                pass
            else:
                raise AssertionError
        """,
        mongodb_uri,
    )
