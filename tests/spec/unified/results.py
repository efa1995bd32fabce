"""Results as the documents that the CRUD specification describes."""

from collections.abc import Mapping
from typing import Any

from pymongo import results


def as_document(value: Any) -> Any:
    match value:
        case results.ClientBulkWriteResult():
            return client_bulk_write_result(value)
        case results.BulkWriteResult():
            return bulk_write_result(value.bulk_api_result) if value.acknowledged else {}
        case results.InsertOneResult():
            return {"insertedId": value.inserted_id}
        case results.InsertManyResult():
            return {"insertedIds": {str(n): one for n, one in enumerate(value.inserted_ids)}}
        case results.UpdateResult():
            return update_result(value)
        case results.DeleteResult():
            return {"deletedCount": value.deleted_count} if value.acknowledged else {}
    return value


def update_result(value: results.UpdateResult) -> dict[str, Any]:
    if not value.acknowledged:
        return {}
    found = {
        "matchedCount": value.matched_count,
        "modifiedCount": value.modified_count,
        "upsertedCount": int(value.did_upsert),
    }
    if value.did_upsert:
        found["upsertedId"] = value.upserted_id
    return found


def bulk_write_result(found: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "insertedCount": found["nInserted"],
        "matchedCount": found["nMatched"],
        "modifiedCount": found["nModified"],
        "deletedCount": found["nRemoved"],
        "upsertedCount": found["nUpserted"],
        "upsertedIds": {str(one["index"]): one["_id"] for one in found["upserted"]},
    }


def client_bulk_write_result(value: results.ClientBulkWriteResult) -> dict[str, Any]:
    if not value.acknowledged:
        return {"acknowledged": False}
    found: dict[str, Any] = {
        "insertedCount": value.inserted_count,
        "matchedCount": value.matched_count,
        "modifiedCount": value.modified_count,
        "deletedCount": value.deleted_count,
        "upsertedCount": value.upserted_count,
    }
    if value.has_verbose_results:
        for name in ("insertResults", "updateResults", "deleteResults"):
            single = getattr(value, name.replace("R", "_r"))
            found[name] = {str(index): as_document(one) for index, one in single.items()}
    return found
