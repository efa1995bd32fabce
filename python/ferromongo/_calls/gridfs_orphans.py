"""Chunks without a file: how they are found on the server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bson.objectid import ObjectId

DEFAULT_AGE = timedelta(days=1)


class Orphans(NamedTuple):
    """The chunks of a file that is not there, as `find_orphans` of a bucket finds them."""

    files_id: Any
    """The `_id` that the file would have."""
    chunks: int
    """How many chunks there are."""
    length: int
    """How many bytes they have together."""
    newest: datetime
    """When the last of them was made, by the clock of the program that made it."""


def youngest(older_than: timedelta, now: datetime) -> ObjectId:
    """The `_id` that all chunks of an orphan come before. Times in them are in whole seconds."""
    if not isinstance(older_than, timedelta):
        raise TypeError(f"older_than must be a datetime.timedelta, not {type(older_than)}")
    if older_than > now - _FIRST:
        return ObjectId.from_datetime(_FIRST)
    limit = (now - older_than).replace(microsecond=0) + timedelta(seconds=1)
    return ObjectId.from_datetime(limit)


def pipeline(files: str, chunks: str, before: ObjectId) -> list[dict[str, Any]]:
    """For the collection of chunks, of which only the index is read but for orphans' chunks.

    The files are looked up after the chunks were seen: a file is stored after its chunks.
    """
    of_file = [{"$match": {"$expr": {"$eq": ["$_id", "$$file"]}}}, {"$project": {"_id": 1}}]
    of_chunks = [
        {"$match": {"$expr": {"$eq": ["$files_id", "$$file"]}}},
        {
            "$group": {
                "_id": None,
                "chunks": {"$sum": 1},
                "length": {"$sum": {"$binarySize": "$data"}},
                "newest": {"$max": "$_id"},
            }
        },
    ]
    file = {"file": "$_id"}
    return [
        {"$group": {"_id": "$files_id"}},
        {"$lookup": {"from": files, "let": file, "pipeline": of_file, "as": "file"}},
        {"$match": {"file": []}},
        {"$lookup": {"from": chunks, "let": file, "pipeline": of_chunks, "as": "found"}},
        {"$unwind": "$found"},
        {"$match": {"found.newest": {"$lt": before}}},
        {"$replaceWith": {"$mergeObjects": ["$found", {"_id": "$_id"}]}},
    ]


def orphans(document: Mapping[str, Any]) -> Orphans:
    newest: datetime = document["newest"].generation_time
    return Orphans(document["_id"], document["chunks"], document["length"], newest)


_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
