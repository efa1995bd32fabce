"""What `install` replaces: one line for each module that defines such classes.

The key is the module whose classes are replaced, the value ours and the names that both have. A
module of PyMongo or GridFS is imported by `install`; one of another package is waited for, until
the program imports it.
"""

_MOTOR = (
    "Client",
    "ClientSession",
    "Database",
    "Collection",
    "Cursor",
    "CommandCursor",
    "LatentCommandCursor",
    "ChangeStream",
    "GridFSBucket",
    "GridIn",
    "GridOut",
    "GridOutCursor",
    "ClientEncryption",
)

CLASSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "pymongo.synchronous.mongo_client": (
        "ferromongo.synchronous.mongo_client",
        ("MongoClient",),
    ),
    "pymongo.synchronous.database": ("ferromongo.synchronous.database", ("Database",)),
    "pymongo.synchronous.collection": ("ferromongo.synchronous.collection", ("Collection",)),
    "pymongo.synchronous.cursor": (
        "ferromongo.synchronous.cursor",
        ("Cursor", "RawBatchCursor"),
    ),
    "pymongo.synchronous.command_cursor": (
        "ferromongo.synchronous.command_cursor",
        ("CommandCursor", "RawBatchCommandCursor"),
    ),
    "pymongo.synchronous.client_session": (
        "ferromongo.synchronous.client_session",
        ("ClientSession",),
    ),
    "pymongo.synchronous.change_stream": (
        "ferromongo.synchronous.change_stream",
        ("ChangeStream", "ClusterChangeStream", "CollectionChangeStream", "DatabaseChangeStream"),
    ),
    "pymongo.asynchronous.mongo_client": (
        "ferromongo.asynchronous.mongo_client",
        ("AsyncMongoClient",),
    ),
    "pymongo.asynchronous.database": ("ferromongo.asynchronous.database", ("AsyncDatabase",)),
    "pymongo.asynchronous.collection": (
        "ferromongo.asynchronous.collection",
        ("AsyncCollection",),
    ),
    "pymongo.asynchronous.cursor": (
        "ferromongo.asynchronous.cursor",
        ("AsyncCursor", "AsyncRawBatchCursor"),
    ),
    "pymongo.asynchronous.command_cursor": (
        "ferromongo.asynchronous.command_cursor",
        ("AsyncCommandCursor", "AsyncRawBatchCommandCursor"),
    ),
    "pymongo.asynchronous.client_session": (
        "ferromongo.asynchronous.client_session",
        ("AsyncClientSession",),
    ),
    "pymongo.asynchronous.change_stream": (
        "ferromongo.asynchronous.change_stream",
        (
            "AsyncChangeStream",
            "AsyncClusterChangeStream",
            "AsyncCollectionChangeStream",
            "AsyncDatabaseChangeStream",
        ),
    ),
    "gridfs.synchronous.grid_file": (
        "ferromongo.gridfs.synchronous.grid_file",
        ("GridFS", "GridFSBucket", "GridIn", "GridOut", "GridOutCursor", "GridOutIterator"),
    ),
    "gridfs.asynchronous.grid_file": (
        "ferromongo.gridfs.asynchronous.grid_file",
        (
            "AsyncGridFS",
            "AsyncGridFSBucket",
            "AsyncGridIn",
            "AsyncGridOut",
            "AsyncGridOutCursor",
            "AsyncGridOutIterator",
        ),
    ),
    "motor.core": (
        "ferromongo.motor.core",
        (
            "AgnosticBase",
            "AgnosticBaseProperties",
            "AgnosticClient",
            "AgnosticClientSession",
            "AgnosticDatabase",
            "AgnosticCollection",
            "AgnosticBaseCursor",
            "AgnosticCursor",
            "AgnosticRawBatchCursor",
            "AgnosticCommandCursor",
            "AgnosticRawBatchCommandCursor",
            "AgnosticLatentCommandCursor",
            "AgnosticChangeStream",
            "AgnosticClientEncryption",
        ),
    ),
    "motor.motor_gridfs": (
        "ferromongo.motor.motor_gridfs",
        ("AgnosticGridFSBucket", "AgnosticGridIn", "AgnosticGridOut", "AgnosticGridOutCursor"),
    ),
    "motor.motor_asyncio": (
        "ferromongo.motor.motor_asyncio",
        tuple(f"AsyncIOMotor{name}" for name in _MOTOR),
    ),
    "motor.motor_tornado": (
        "ferromongo.motor.motor_tornado",
        tuple(f"Motor{name}" for name in _MOTOR),
    ),
    "motor.aiohttp": ("ferromongo.motor.aiohttp", ("AIOHTTPGridFS",)),
    "motor.web": ("ferromongo.motor.web", ("GridFSHandler",)),
}

# Always there, so imported at once.
AT_ONCE = ("pymongo", "gridfs")

# Packages whose own code goes on with the classes it was written for. Motor is built on PyMongo's
# insides: a Motor client made before `install` works as before.
ON_PYMONGO = frozenset({"pymongo", "gridfs", "motor"})


def package(name: object) -> str:
    """The top package of a module's name."""
    return name.partition(".")[0] if isinstance(name, str) else ""
