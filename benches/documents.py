"""The documents of MongoDB's driver benchmarks, and the collections filled with them.

The official data set is read when present; otherwise documents of the same shape and
size are generated, so that ratios stay comparable even though bytes differ.
"""

import functools
import os
import random
import string
import tarfile
from pathlib import Path

from bson import json_util

COUNT = 10_000


@functools.cache
def tweet():
    return official(SINGLE_AND_MULTI, "tweet") or _generated_tweet(random.Random(0))


@functools.cache
def small_document():
    return official(SINGLE_AND_MULTI, "small_doc") or _generated_small_document(random.Random(0))


@functools.cache
def origin():
    return "official data set" if official(SINGLE_AND_MULTI, "tweet") else "generated documents"


def fill(database, name, document, count=COUNT):
    """Make `name` hold `count` copies of `document` with _id 0 to `count` - 1."""
    collection = database[name]
    last = {"_id": count - 1, **document}
    # An earlier run on the same server may have been cut short, or have had other documents.
    if collection.count_documents({}) != count or collection.find_one({"_id": count - 1}) != last:
        collection.drop()
        collection.insert_many([{"_id": number, **document} for number in range(count)])


def official(archive, name):
    """A document of the official data set as Python objects, or None where the set is absent."""
    folder = os.environ.get("FERROMONGO_BENCH_DATA") or PROJECT.parent / "shared" / "bench-data"
    path = Path(folder) / f"{archive}.tgz"
    if not path.exists():
        return None
    with tarfile.open(path) as data:
        return json_util.loads(data.extractfile(f"{archive}/{name}.json").read())


def _generated_small_document(rng):
    words = {text(rng, 8): text(rng, 8) for _ in range(7)}
    numbers = {text(rng, 8): rng.randrange(10**8) for _ in range(6)}
    return words | numbers


def _generated_tweet(rng):
    user_texts = dict.fromkeys(("name", "screen_name", "location", "lang", "time_zone"), 12)
    user_texts |= dict.fromkeys(("url", "created_at"), 30)
    user_texts |= dict.fromkeys(
        ("description", "profile_image_url", "profile_background_image_url"), 88
    )
    user_texts |= dict.fromkeys((f"profile_{part}_color" for part in range(5)), 6)
    user = {key: text(rng, size) for key, size in user_texts.items()}
    user |= {f"flag_{part}_of_profile": rng.random() < 0.5 for part in range(7)}
    user |= {f"number_of_{part}_counted": rng.randrange(10**6) for part in range(7)}
    user |= {f"unknown_{part}_of_user": None for part in range(3)}
    mention = {
        "indices": [0, 9],
        "screen_name": text(rng, 8),
        "name": text(rng, 17),
        "id": rng.randrange(10**8),
    }
    return {
        "text": text(rng, 37),
        "in_reply_to_status_id": rng.randrange(10**10, 10**11),
        "retweet_count": None,
        "contributors": None,
        "created_at": text(rng, 30),
        "geo": None,
        "source": "web",
        "coordinates": None,
        "truncated": False,
        "entities": {"user_mentions": [mention], "urls": [], "hashtags": []},
        "retweeted": False,
        "place": None,
        "user": user,
        "favorited": False,
        "in_reply_to_screen_name": text(rng, 8),
        "in_reply_to_user_id": rng.randrange(10**8),
        "id": rng.randrange(10**10, 10**11),
    }


def text(rng, size):
    """`size` random letters and digits."""
    return "".join(rng.choices(string.ascii_letters + string.digits, k=size))


PROJECT = Path(__file__).resolve().parent.parent
SINGLE_AND_MULTI = "single_and_multi_document"
