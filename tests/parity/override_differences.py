"""Where PyMongo's public methods call one another and ferromongo's do not, with the reason."""

from __future__ import annotations

MISSING: dict[str, set[tuple[str, str]]] = {
    "an operation without a session has no session object that could be ended": {
        ("*", "ClientSession.end_session"),
    },
    "PyMongo's cursors of commands belong to a collection '$cmd', ferromongo's to no collection": {
        ("Database.create_collection", "Database.get_collection"),
        ("Database.cursor_command", "Database.get_collection"),
        ("Database.list_collection_names", "Database.get_collection"),
        ("Database.list_collections", "Database.get_collection"),
        ("Database.aggregate", "Database.__getitem__"),
        ("Database.watch", "Database.__getitem__"),
        ("MongoClient.list_database_names", "Database.__getitem__"),
        ("MongoClient.list_databases", "Database.__getitem__"),
        ("MongoClient.watch", "Database.__getitem__"),
        ("Collection.options", "Database.get_collection"),
    },
    "PyMongo's constructor calls it with the first batch size": {
        ("*", "CommandCursor.batch_size"),
        ("*", "RawBatchCommandCursor.batch_size"),
    },
    "a plan is the reply of a command and passes no cursor": {
        (f"{kind}.explain", f"Cursor.{method}")
        for kind in ("Cursor", "RawBatchCursor")
        for method in ("__next__", "__anext__", "next", "close")
    },
    "the end of a transaction is sent without a database object": {
        (f"ClientSession.{method}", f"MongoClient.{item}")
        for method in (
            "abort_transaction",
            "commit_transaction",
            "end_session",
            "with_transaction",
        )
        for item in ("__getattr__", "__getitem__")
    },
    "to close a file that was not opened fetches nothing": {
        ("GridOut.close", "GridOut.open"),
        ("GridOut.__exit__", "GridOut.open"),
    },
}

EXPLAINED = {pair for pairs in MISSING.values() for pair in pairs}


def is_explained(pair: tuple[str, str]) -> bool:
    return pair in EXPLAINED or ("*", pair[1]) in EXPLAINED
