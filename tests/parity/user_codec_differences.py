"""What ferromongo does otherwise than PyMongo with a user's codec options, each with its reason."""

from __future__ import annotations

from typing import Any

from tests.parity.user_codecs import DECODERS, told

# PyMongo reads what stands beside a user's field as raw documents if there are type decoders, so
# these turn up in explain's reply, in the details of errors and as resume tokens. Here they are
# documents of the user's class, with or without decoders.
RAW_BESIDE = (
    *("explain", "aggregate", "aggregate_into_a_collection", "distinct", "find_that_fails"),
    *("find_one_and_fail", "transactions", "change_streams"),
)

# PyMongo has the decoders decode the whole document in which the user's field lies, and takes the
# field out of it: so they get the cursor's id and namespace, `lastErrorObject`, the batch itself. A
# decoder that refuses such a type fails there, and one for lists or dicts makes the batch something
# else. Here they get the user's values only: see `tests/server/test_type_decoders.py`.
ASKED_TOO_OFTEN = (
    "decodes list",
    "decodes dict",
    *(name for name in DECODERS if "refuses" in name),
)
OF_USERS_FIELDS = (
    *("find", "a_cursor_knows", "aggregate", "aggregate_into_a_collection", "distinct"),
    *("find_one_and", "dereference", "change_streams", "a_stream_goes_on_by_its_token"),
    *("transactions", "undecodable_text"),
)


def known(case: str, options: str, theirs: Any, ours: Any) -> bool:
    if case in OF_USERS_FIELDS and options in ASKED_TOO_OFTEN:
        return True
    if case in RAW_BESIDE and options in DECODERS:
        return told(theirs, loose=True) == told(ours, loose=True)
    return False
