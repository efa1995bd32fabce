"""The documents of the BSON micro-benchmarks in MongoDB's driver benchmark specification, by
name, and a record of a time series. Each is what decoding it gives.

The official data set is read when present; otherwise documents with as many fields of the
same types and sizes are generated.
"""

import functools
import random
from datetime import datetime, timedelta

import bson
from bson import Code, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from benches import documents
from benches.documents import SINGLE_AND_MULTI, official, text


@functools.cache
def named(name):
    return bson.decode(bson.encode(MAKERS[name](random.Random(0))))


def flat(rng):
    values = [
        maker(rng)
        for maker in (lambda rng: text(rng, 80), small_int, big_int, rng_float, boolean)
        for _ in range(24)
    ]
    values += [text(rng, 80) for _ in range(24)]
    return {"_id": ObjectId(rng.randbytes(12))} | fields(rng, values)


def deep(rng, levels=6):
    """A binary tree, with strings for leaves."""
    if levels == 1:
        return {"rightValue": text(rng, 8), "leftValue": text(rng, 8)}
    return {"right": deep(rng, levels - 1), "left": deep(rng, levels - 1)}


def full(rng):
    """Every type that is not deprecated, six times or more."""
    values = []
    for size in range(6):
        values += [
            small_int(rng), big_int(rng), big_int(rng), boolean(rng), boolean(rng),
            text(rng, 80), rng.randbytes(80), MinKey(), MaxKey(), date(rng),
            Timestamp(rng.randrange(2**31), 1), [small_int(rng) for _ in range(size)],
            Code(text(rng, 80)), Code(text(rng, 80), fields(rng, range(size))),
        ]  # fmt: skip
    values += [Regex(text(rng, 8)), Regex(text(rng, 8))]
    return {"_id": ObjectId(rng.randbytes(12))} | fields(rng, values)


def large(rng):
    """As many fields as fill 2.5 MB: keys that hardly repeat, strings and numbers."""
    values = [value for _ in range(47_000) for value in (text(rng, 12), big_int(rng))]
    return fields(rng, values, key_size=12)


def time_series(rng):
    """A measurement: when, of what, and a hundred numbers."""
    return {
        "_id": ObjectId(rng.randbytes(12)),
        "ts": date(rng),
        "meta": {"sensor": text(rng, 12), "site": "north", "unit": "kPa", "channel": 7},
        "received": date(rng),
        "checked": date(rng),
        "values": [value for _ in range(50) for value in (rng_float(rng), rng.randrange(10**6))],
        "least": rng_float(rng),
        "greatest": rng_float(rng),
        "count": Int64(100),
    }


def fields(rng, values, key_size=8):
    return {text(rng, key_size): value for value in values}


def small_int(rng):
    return rng.randrange(-100, 100)


def big_int(rng):
    return Int64(rng.randrange(2**40, 2**63))


def rng_float(rng):
    return rng.random() * 1e6


def boolean(rng):
    return rng.random() < 0.5


def date(rng):
    return datetime(2020, 1, 1) + timedelta(milliseconds=rng.randrange(10**11))


EXTENDED = "extended_bson"

MAKERS = {
    "flat": lambda rng: official(EXTENDED, "flat_bson") or flat(rng),
    "deep": lambda rng: official(EXTENDED, "deep_bson") or deep(rng),
    "full": lambda rng: official(EXTENDED, "full_bson") or full(rng),
    "tweet": lambda rng: documents.tweet(),
    "small": lambda rng: documents.small_document(),
    "large": lambda rng: official(SINGLE_AND_MULTI, "large_doc") or large(rng),
    "time_series": time_series,
}
