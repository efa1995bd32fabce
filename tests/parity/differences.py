"""Every difference between PyMongo's public surface and ferromongo's, with its reason.

`test_surface.py` finds the differences by walking both packages and fails on one that is not
listed here, and on an entry that is none any more. docs/compatibility.md is made from this table by
python/tools/compatibility_tables.py.
"""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    what: str
    subjects: tuple[str, ...]
    reason: str


MISSING = [
    Difference(
        "no module",
        ("encryption", "encryption_options", "synchronous.encryption"),
        "encryption in the client is not supported: `auto_encryption_opts` is refused",
    ),
    Difference(
        "no module",
        ("auth_oidc",),
        "MONGODB-OIDC is not supported: the mechanism is refused",
    ),
]

DIFFERENT = [
    Difference(
        "another value",
        ("__version__",),
        "ferromongo's own; `version` and `version_tuple` name the PyMongo that is followed",
    ),
    Difference(
        "signature",
        ("ClientSession.__init__", "CommandCursor.__init__", "RawBatchCommandCursor.__init__"),
        "made by methods only (`start_session`, `aggregate`, ...); PyMongo passes its internals",
    ),
    Difference(
        "signature",
        ("RawBatchCursor.__init__",),
        "names the arguments of `Cursor` that PyMongo hides behind `*args` and `**kwargs`",
    ),
    Difference(
        "signature",
        (
            "Collection.find", "Collection.find_one", "Collection.find_raw_batches",
            "GridFS.find", "GridFSBucket.find",
        ),
        "names the arguments, which PyMongo describes and hides behind `*args` and `**kwargs`",
    ),
    Difference(
        "types",
        ("Collection.find_one", "GridFS.find_one"),
        "knows the types of the arguments by name",
    ),
    Difference(
        "types",
        ("Collection.aggregate_raw_batches",),
        "says RawBatchCommandCursor, which it is with both; PyMongo says RawBatchCursor",
    ),
    Difference(
        "types",
        ("Cursor.__deepcopy__",),
        "says that a copy is of the cursor's class; PyMongo says anything",
    ),
    Difference(
        "types",
        (
            "GridOut.__aiter__ (async only)", "GridOut.__iter__ (sync only)",
            "GridOutCursor.__aiter__ (async only)", "GridOutCursor.__iter__ (sync only)",
            "GridOutIterator.__aiter__ (async only)", "GridOutIterator.__iter__ (sync only)",
        ),
        "says Self: what a class derived from it answers is of that class",
    ),
    Difference(
        "types",
        ("ChangeStream.__init__",),
        "made by `watch`; PyMongo names types of its own for what is watched",
    ),
    Difference(
        "types",
        ("GridOut.__init__",),
        "says that a file's id may be anything, which it may with both; PyMongo says int",
    ),
    Difference(
        "types",
        ("GridOut.readline (async only)", "GridOut.readlines (async only)"),
        "says that the size may be None, as it may with both",
    ),
    Difference(
        "signature",
        ("GridOut.readline (sync only)", "GridOut.readlines (sync only)"),
        "as the asynchronous ones; in PyMongo they are those of `io.IOBase`, byte by byte",
    ),
    Difference(
        "another module",
        ("GridFS", "GridFSBucket", "GridIn", "GridOut", "GridOutCursor", "GridOutIterator"),
        "each class has a module of its own; PyMongo's paths, `grid_file`, have them all",
    ),
]  # fmt: skip

INTERNAL = [
    Difference(
        "no module",
        ("gridfs.grid_file_shared",),
        "where PyMongo keeps what both its APIs share",
    ),
    Difference(
        "no name",
        ("gridfs.synchronous.grid_file.GridOutChunkIterator (sync only)",),
        "how PyMongo reads chunks, which its documentation does not list",
    ),
    Difference(
        "no module",
        (
            "auth_shared", "bulk_shared", "compression_support", "daemon", "database_shared",
            "hello", "helpers_shared", "lock", "logger", "max_staleness_selectors", "message",
            "network_layer", "ocsp_cache", "ocsp_support", "periodic_executor", "pool_shared",
            "pyopenssl_context", "response", "saslprep", "settings_shared", "socket_checker",
            "ssl_context", "ssl_support", "synchronous.aggregation", "synchronous.auth",
            "synchronous.auth_aws", "synchronous.auth_oidc", "synchronous.bulk",
            "synchronous.client_bulk", "synchronous.command_runner", "synchronous.cursor_base",
            "synchronous.helpers", "synchronous.monitor", "synchronous.pool", "synchronous.server",
            "synchronous.settings", "synchronous.srv_resolver", "synchronous.topology",
            "topology_shared",
        ),
        "PyMongo's engine, which its documentation does not list; ours is in Rust",
    ),
    Difference(
        "no module",
        (
            "auth_oidc_shared", "change_stream_shared", "client_session_shared", "cursor_shared",
            "encryption_shared", "mongo_client_shared", "pool_options", "synchronous.uri_parser",
            "uri_parser_shared",
        ),
        "where PyMongo keeps what both its APIs share; the documented paths (`client_session`, "
        "`cursor`, `pool`, `uri_parser`) have the public names",
    ),
]  # fmt: skip

OWN = [
    Difference(
        "name of our own",
        ("install", "installed", "uninstall"),
        "let PyMongo's import paths resolve to ferromongo",
    ),
    Difference(
        "module of our own",
        ("bson",),
        "the functions of PyMongo's `bson` on the engine's codec",
    ),
    Difference(
        "module of our own",
        (
            "embedded", "embedded.binary", "embedded.certificates", "embedded.fail_point",
            "embedded.pytest_plugin", "embedded.replica_set", "embedded.supervised",
            "embedded.supervisor",
        ),
        "a real replica set for tests and experiments",
    ),
    Difference(
        "name of our own",
        (
            "typings.Address", "typings.CollationIn", "typings.DocumentType",
            "typings.DocumentTypeArg", "typings.Hint", "typings.KeyPattern", "typings.Pipeline",
            "typings.ReadableBuffer", "typings.WritableBuffer", "typings.WriteOp",
        ),
        "the types in ferromongo's signatures, by public names",
    ),
    Difference(
        "module of our own",
        (
            "gridfs.synchronous.bucket", "gridfs.synchronous.chunks", "gridfs.synchronous.grid_fs",
            "gridfs.synchronous.grid_in", "gridfs.synchronous.grid_out",
            "gridfs.synchronous.grid_out_cursor",
        ),
        "where the classes of GridFS are defined",
    ),
    Difference(
        "module of our own",
        ("gridfs.synchronous.transfers",),
        "whole files into and out of GridFS",
    ),
    Difference(
        "module of our own",
        ("gridfs.http",),
        "responses to HTTP requests for files: ETag, conditions, ranges",
    ),
    Difference(
        "member of our own",
        (
            "GridFSBucket.upload_from_path", "GridFSBucket.download_to_path",
            "GridFSBucket.download_to_path_by_name",
        ),
        "from and to local files, which appear when they are whole",
    ),
    Difference(
        "name of our own",
        ("gridfs.Orphans",),
        "what `find_orphans` finds",
    ),
    Difference(
        "member of our own",
        ("GridFSBucket.find_orphans", "GridFSBucket.delete_orphans"),
        "chunks that belong to no file",
    ),
    Difference(
        "signature",
        (
            "GridFSBucket.upload_from_stream", "GridFSBucket.upload_from_stream_with_id",
            "GridFSBucket.download_to_stream", "GridFSBucket.download_to_stream_by_name",
        ),
        "take `progress`",
    ),
    Difference(
        "signature",
        ("GridFSBucket.open_download_stream", "GridFSBucket.open_download_stream_by_name"),
        "take a range, `start` and `end`",
    ),
    Difference(
        "signature",
        ("GridFS.__init__", "GridFSBucket.__init__"),
        "take `transactions`: whether transactions of sessions may have their operations",
    ),
    Difference(
        "member of our own",
        ("GridOut.readinto",),
        "reads into a buffer; `io.BufferedReader` needs it",
    ),
    Difference(
        "member of our own",
        ("GridOut.iter_chunks",),
        "an iterator of chunks, for the body of an HTTP response",
    ),
    Difference(
        "member of our own",
        ("MongoClient.list_sessions", "Database.list_sessions"),
        "the sessions that a server knows; a collection or database of that name is "
        '`db["list_sessions"]`',
    ),
    Difference(
        "module of our own",
        ("synchronous.listed_session",),
        "what `list_sessions` finds",
    ),
    Difference(
        "member of our own",
        ("MongoClient.recover_transactions",),
        "finds out how the transactions of a log ended; a database of that name is "
        '`client["recover_transactions"]`',
    ),
    Difference(
        "module of our own",
        ("synchronous.recovery", "transaction_log", "journal"),
        "transaction logs, their recovery and their files",
    ),
    Difference(
        "name of our own",
        ("TransactionLog",),
        "what became of a client's transactions",
    ),
    Difference(
        "member of our own",
        ("Cursor.read_ahead", "CommandCursor.read_ahead"),
        "each batch is asked for while the one before is read",
    ),
    Difference(
        "member of our own",
        (
            "Cursor.__length_hint__ (sync only)",
            "CommandCursor.__length_hint__ (sync only)",
        ),
        "`list(cursor)` asks for it, which tells that all documents will be read; it is not known",
    ),
    Difference(
        "member of our own",
        ("MongoClient.run_atomic",),
        "a function called in a transaction; a database of that name is `client[\"run_atomic\"]`",
    ),
    Difference(
        "module of our own",
        ("synchronous.transaction", "transaction"),
        "`atomic` and what belongs to it",
    ),
    Difference(
        "module of our own",
        (
            "middleware", "middleware.asgi", "middleware.django", "middleware.flask",
            "middleware.wsgi",
        ),
        "a transaction per web request",
    ),
    Difference(
        "signature",
        ("MongoClient.start_session",),
        "takes a snapshot session's time, as the sessions specification has it",
    ),
    Difference(
        "member of our own",
        ("ClientSession.snapshot_time",),
        "of the sessions specification",
    ),
    Difference(
        "member of our own",
        ("ClientSession.__call__",),
        "a session is a decorator: each call of the function has one of its own",
    ),
    Difference(
        "is Callable",
        ("ClientSession",),
        "see `ClientSession.__call__`",
    ),
    Difference(
        "member of our own",
        ("GridOut.closed (async only)",),
        "as the synchronous one has it, from `io.IOBase`",
    ),
    Difference(
        "member of our own",
        ("CommandCursor.retrieved",),
        "how many documents came so far, as `Cursor` has it",
    ),
]  # fmt: skip

ALL = MISSING + DIFFERENT + INTERNAL + OWN
