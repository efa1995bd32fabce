"""Where PyMongo has ChangeStream, CollectionChangeStream, DatabaseChangeStream and
ClusterChangeStream."""

from ferromongo.synchronous.change_stream import (
    ChangeStream,
    ClusterChangeStream,
    CollectionChangeStream,
    DatabaseChangeStream,
)

__all__ = ["ChangeStream", "ClusterChangeStream", "CollectionChangeStream", "DatabaseChangeStream"]
