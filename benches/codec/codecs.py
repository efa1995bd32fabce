"""The codecs that are measured, in one shape.

orjson is there for orientation, on equal data: JSON has fewer types, so it makes strings
where BSON makes dates and ids.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Codec:
    name: str
    # By the format's reference: a document as far as the format can hold it, the bytes that
    # are right for it, and new objects from those.
    given: Callable[[dict], tuple[dict, bytes]]
    renew: Callable[[bytes], dict]
    encode: Callable[[dict], bytes]
    decode: Callable[[bytes], dict]
    # The same encoded document many times, as one piece and as a stream, and what reads them.
    batch: Callable[[bytes, int], bytes]
    decode_all: Callable[[bytes], list]
    stream: Callable[[bytes, int], bytes]
    decode_iter: Callable[[bytes], Iterable]


def ferromongo():
    from ferromongo import bson

    return bson_codec("ferromongo", bson)


def pymongo_bson():
    import bson

    if not bson.has_c():
        raise ImportError("its C extension is missing, so a ratio would mean nothing")
    return bson_codec("bson", bson)


def bson_codec(name, module):
    import bson

    return Codec(
        name,
        given=lambda document: (document, bson.encode(document)),
        renew=bson.decode,
        encode=module.encode,
        decode=module.decode,
        batch=bytes.__mul__,
        decode_all=module.decode_all,
        stream=bytes.__mul__,
        decode_iter=module.decode_iter,
    )


def orjson():
    import orjson

    def given(document):
        document = json_ready(document)
        return document, orjson.dumps(document)

    return Codec(
        "orjson",
        given=given,
        renew=orjson.loads,
        encode=orjson.dumps,
        decode=orjson.loads,
        batch=lambda data, count: b"[" + b",".join([data] * count) + b"]",
        decode_all=orjson.loads,
        stream=lambda data, count: b"\n".join([data] * count),
        decode_iter=lambda data: map(orjson.loads, data.splitlines()),
    )


def json_ready(value):
    if isinstance(value, dict):
        return {key: json_ready(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_ready(item) for item in value]
    if value is None or isinstance(value, bool):
        return value
    for kind in (int, float):
        if isinstance(value, kind):
            return kind(value)
    return value.hex() if isinstance(value, bytes) else str(value)


SUBJECT = "ferromongo"
# What SUBJECT's goals are set against.
REFEREE = "bson"
OPENERS = {SUBJECT: ferromongo, REFEREE: pymongo_bson, "orjson": orjson}
