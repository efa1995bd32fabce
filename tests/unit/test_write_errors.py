"""Errors in the replies to bulk writes, by the exceptions that PyMongo raises."""

import copy

import pytest
from pymongo import bulk_shared
from pymongo.errors import BulkWriteError, OperationFailure

from ferromongo._calls.write_errors import raise_bulk_errors

REFUSED = "Transaction numbers are only allowed on a replica set member or mongos"
ERRORS = {
    "refused": [{"index": 0, "code": 20, "errmsg": REFUSED}],
    "refused later": [
        {"index": 1, "code": 20, "errmsg": REFUSED},
        {"index": 0, "code": 11000, "errmsg": "duplicate key"},
    ],
    "another error with this code": [{"index": 0, "code": 20, "errmsg": "no"}],
}


@pytest.mark.parametrize("name", ERRORS)
def test_bulk_errors_are_those_of_pymongo(name):
    errors = [{**error, "op": {"_id": error["index"]}} for error in ERRORS[name]]
    totals = {"nInserted": 0, "writeErrors": errors, "writeConcernErrors": []}
    with pytest.raises(OperationFailure) as theirs:
        bulk_shared._raise_bulk_write_error(copy.deepcopy(totals))
    with pytest.raises(OperationFailure) as ours:
        raise_bulk_errors(totals, [{"_id": 0}, {"_id": 1}])
    assert ours.type is theirs.type
    assert ours.type is (OperationFailure if name == "refused" else BulkWriteError)
    assert ours.value.code == theirs.value.code
    assert ours.value.details == theirs.value.details
