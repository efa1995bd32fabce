"""The documents of MongoDB's driver benchmarks, and the collections filled with them.

The official data set is read when present; otherwise documents of the same shape and
size are generated, so that ratios stay comparable even though bytes differ.
"""

import functools
import json
import os
import random
import string
import tarfile
from pathlib import Path

COUNT = 10_000


@functools.cache
def tweet():
    return _official("tweet") or _generated_tweet(random.Random(0))


@functools.cache
def small_document():
    return _official("small_doc") or _generated_small_document(random.Random(0))


@functools.cache
def origin():
    return "official data set" if _official("tweet") else "generated documents"


def fill(database, name, document):
    """Make `name` hold COUNT copies of `document` with _id 0 to COUNT - 1."""
    collection = database[name]
    last = {"_id": COUNT - 1, **document}
    # An earlier run on the same server may have been cut short, or have had other documents.
    if collection.count_documents({}) != COUNT or collection.find_one({"_id": COUNT - 1}) != last:
        collection.drop()
        collection.insert_many([{"_id": number, **document} for number in range(COUNT)])


def _official(name):
    folder = os.environ.get("FERROMONGO_BENCH_DATA") or PROJECT.parent / "shared" / "bench-data"
    archive = Path(folder) / "single_and_multi_document.tgz"
    if not archive.exists():
        return None
    with tarfile.open(archive) as data:
        return json.load(data.extractfile(f"single_and_multi_document/{name}.json"))


def _generated_small_document(rng):
    words = {_text(rng, 8): _text(rng, 8) for _ in range(7)}
    numbers = {_text(rng, 8): rng.randrange(10**8) for _ in range(6)}
    return words | numbers


def _generated_tweet(rng):
    user_texts = dict.fromkeys(("name", "screen_name", "location", "lang", "time_zone"), 12)
    user_texts |= dict.fromkeys(("url", "created_at"), 30)
    user_texts |= dict.fromkeys(
        ("description", "profile_image_url", "profile_background_image_url"), 88
    )
    user_texts |= dict.fromkeys((f"profile_{part}_color" for part in range(5)), 6)
    user = {key: _text(rng, size) for key, size in user_texts.items()}
    user |= {f"flag_{part}_of_profile": rng.random() < 0.5 for part in range(7)}
    user |= {f"number_of_{part}_counted": rng.randrange(10**6) for part in range(7)}
    user |= {f"unknown_{part}_of_user": None for part in range(3)}
    mention = {
        "indices": [0, 9],
        "screen_name": _text(rng, 8),
        "name": _text(rng, 17),
        "id": rng.randrange(10**8),
    }
    return {
        "text": _text(rng, 37),
        "in_reply_to_status_id": rng.randrange(10**10, 10**11),
        "retweet_count": None,
        "contributors": None,
        "created_at": _text(rng, 30),
        "geo": None,
        "source": "web",
        "coordinates": None,
        "truncated": False,
        "entities": {"user_mentions": [mention], "urls": [], "hashtags": []},
        "retweeted": False,
        "place": None,
        "user": user,
        "favorited": False,
        "in_reply_to_screen_name": _text(rng, 8),
        "in_reply_to_user_id": rng.randrange(10**8),
        "id": rng.randrange(10**10, 10**11),
    }


def _text(rng, size):
    return "".join(rng.choices(string.ascii_letters + string.digits, k=size))


PROJECT = Path(__file__).resolve().parent.parent
