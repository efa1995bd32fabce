"""Encode and decode while the interpreter's allocations fail: one of them, or all from one on."""

import _testcapi
import collections
import datetime
from typing import Any

import bson
from bson.codec_options import CodecOptions, TypeRegistry
from bson.son import SON
from tests.parity.beside_bson import decode, encode
from tests.parity.codec_faults import BAD_VALUES, Zone
from tests.parity.sample_bytes import CRAFTED
from tests.parity.sample_values import AUTO, READABLE

MOST = 5000


def outcomes(work: Any, once: bool) -> collections.Counter[str]:
    """How calls end as the first failing allocation moves from the first to behind the last."""
    found: collections.Counter[str] = collections.Counter()
    for first in range(MOST):
        made = error = None
        _testcapi.set_nomemory(first, first + 1 if once else 0)
        try:
            made = work()
        except BaseException as caught:
            error = caught  # and nothing else here: there is no memory
        finally:
            _testcapi.remove_mem_hooks()
        if isinstance(error, SystemError) and "without" in str(error):
            # CPython loses any exception whose traceback finds no memory.
            error = MemoryError()
        end = "done" if error is None else type(error).__name__
        del made, error
        found[end] += 1
        if end != "MemoryError":
            break
    return found


def main() -> None:
    text = CodecOptions[Any](
        uuid_representation=4, type_registry=TypeRegistry(fallback_encoder=str)
    )
    rich = {
        name: value
        for name, value in READABLE.items()
        if not name.startswith(("long", "keys of", "Binary ", "Int64 ")) and "zone" not in name
    }
    data = bson.encode(rich, codec_options=AUTO)
    zone = CodecOptions[Any](tz_aware=True, tzinfo=Zone(datetime.timedelta(0)))
    date = bson.encode({"d": datetime.datetime(2020, 1, 1)})
    mixed = {"v": [object()], **rich}
    readers = [
        AUTO,
        AUTO.with_options(document_class=SON),
        AUTO.with_options(unicode_decode_error_handler="replace"),
        AUTO.with_options(tz_aware=True, tzinfo=bson.utc),
    ]
    # As little Python code as may be: CPython itself is not at its best without memory.
    works = [
        lambda: encode(rich, options=AUTO),
        lambda: encode(mixed, options=text),
        lambda: decode(date, zone),
        *(lambda options=options: decode(data, options) for options in readers),
        *(lambda value=value: encode({"a": [value]}) for value in BAD_VALUES.values()),
        *(lambda bad=bad: decode(bad) for bad in CRAFTED.values() if len(bad) < 1000),
    ]
    total: collections.Counter[str] = collections.Counter()
    for work in works:
        for options in (AUTO, text):  # a call with other options than the last has more to make
            encode({}, options=options)
        try:
            work()
            expected = "done"
        except Exception as error:
            expected = type(error).__name__
        for once in (True, False):
            found = outcomes(work, once)
            assert set(found) <= {"MemoryError", expected}, (found, expected)
            total += found
    print(dict(total))


if __name__ == "__main__":
    main()
