"""Type variables and aliases of the public signatures, and those that PyMongo exports here."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from mmap import mmap
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from pymongo.collation import Collation
from pymongo.operations import (
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
)

# Programs annotate with these, although all but one begin with an underscore.
from pymongo.typings import *

DocumentType = TypeVar("DocumentType", bound=Mapping[str, Any])
DocumentTypeArg = TypeVar("DocumentTypeArg", bound=Mapping[str, Any])

Address: TypeAlias = tuple[str, int | None]
CollationIn: TypeAlias = Mapping[str, Any] | Collation
Pipeline: TypeAlias = Sequence[Mapping[str, Any]]
KeyPattern: TypeAlias = (
    Sequence[str | tuple[str, int | str | Mapping[str, Any]]] | Mapping[str, Any]
)
"""Keys with directions: of a sort, an index, a hint, `min` and `max`."""
Hint: TypeAlias = str | KeyPattern
WriteOp: TypeAlias = (
    InsertOne[DocumentType]
    | DeleteOne
    | DeleteMany
    | ReplaceOne[DocumentType]
    | UpdateOne
    | UpdateMany
)
ClusterTime: TypeAlias = Mapping[str, Any]
if TYPE_CHECKING:
    ReadableBuffer: TypeAlias = bytes | bytearray | memoryview | mmap | array[Any]
    WritableBuffer: TypeAlias = bytearray | memoryview | mmap | array[Any]
else:
    # An array takes its parameter from Python 3.12 on only; what asks for hints must find a type.
    ReadableBuffer = bytes | bytearray | memoryview | mmap | array
    WritableBuffer = bytearray | memoryview | mmap | array

__all__ = [
    "Address",
    "ClusterTime",
    "CollationIn",
    "DocumentType",
    "DocumentTypeArg",
    "Hint",
    "KeyPattern",
    "Pipeline",
    "ReadableBuffer",
    "WritableBuffer",
    "WriteOp",
    "_Address",
    "_CollationIn",
    "_DocumentOut",
    "_DocumentType",
    "_DocumentTypeArg",
    "_Pipeline",
    "strip_optional",
]
