"""What a codec is made to do with a document; each is a row of the table per document."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benches.codec.codecs import Codec
from benches.documents import COUNT


@dataclass(frozen=True)
class Given:
    """A document as a codec's format can hold it, its right bytes, and how often it comes."""

    document: dict
    data: bytes
    count: int


@dataclass(frozen=True)
class Work:
    name: str
    title: str
    most: int  # documents in one pass; fewer where they are large
    material: Callable[[Codec, Given], Any]  # what `run` is handed, made unmeasured
    run: Callable[[Codec, Any], Any]  # the last result, or the list of all when they are kept
    expected: Callable[[Given], Any]  # the last result when it is right
    kept: bool = False
    peak_memory: bool = False

    def count(self, size, share):
        """How many documents of `size` bytes make a pass, or a `share`-th of one."""
        return math.ceil(min(self.most, BYTES / size) / share)


def decode_one(codec, given):
    return again_and_again(codec.decode, given.data, given.count)


def decode_kept(codec, batch):
    return codec.decode_all(batch)


def decode_dropped(codec, stream):
    # Each lives until the next has taken its place.
    for document in codec.decode_iter(stream):  # noqa: B007
        pass
    return document


def encode_one(codec, given):
    return again_and_again(codec.encode, given.document, given.count)


def again_and_again(function, argument, count):
    for _ in range(count - 1):
        function(argument)
    return function(argument)


def encode_batch(codec, documents):
    encode = codec.encode
    return [encode(document) for document in documents]


def itself(codec, given):
    return given


def batch(codec, given):
    return codec.batch(given.data, given.count)


def stream(codec, given):
    return codec.stream(given.data, given.count)


def documents(codec, given):
    """Documents as a program builds them: their values are their own, the keys are literals."""
    return [with_keys_of(given.document, codec.renew(given.data)) for _ in range(given.count)]


def with_keys_of(original, copy):
    if not isinstance(original, dict):
        return copy
    pairs = zip(original.items(), copy.values(), strict=True)
    return {key: with_keys_of(value, copied) for (key, value), copied in pairs}


def the_document(given):
    return given.document


def the_data(given):
    return given.data


# So much data makes one pass at most: 10,000 flat documents just fit.
BYTES = 64 << 20

DECODE_KEPT = Work(
    "decode_kept",
    "decode a batch, kept",
    COUNT,
    batch,
    decode_kept,
    the_document,
    kept=True,
    peak_memory=True,
)
WORKS = (
    Work("decode_one", "decode one", 1000, itself, decode_one, the_document),
    DECODE_KEPT,
    Work("decode_dropped", "decode a batch, in turn", COUNT, stream, decode_dropped, the_document),
    Work("encode_one", "encode one", 1000, itself, encode_one, the_data),
    Work("encode_batch", "encode a batch", COUNT, documents, encode_batch, the_data, kept=True),
)
