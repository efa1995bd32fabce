"""The first use of the codec in a process, while one of its allocations fails."""

import _testcapi
import collections
import os

import bson

from ferromongo.bson import decode, encode

DATA = bson.encode({"d": {"a": [1, "two", None]}, "o": bson.ObjectId(), "b": b"x"})
MOST = 400


def attempt(first: int) -> str:
    _testcapi.set_nomemory(first, first + 1)
    error = None
    try:
        encode({"a": [1, {"b": "c"}]})
        decode(DATA)
    except BaseException as caught:
        error = caught
    finally:
        _testcapi.remove_mem_hooks()
    # CPython loses any exception whose traceback finds no memory.
    lost = isinstance(error, SystemError) and "without" in str(error)
    return "MemoryError" if lost else type(error).__name__


def main() -> None:
    found: collections.Counter[str] = collections.Counter()
    for first in range(MOST):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, attempt(first).encode())
            os._exit(0)
        os.close(writer)
        with open(reader) as answer:
            said = answer.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found[said if status == 0 else f"ended with {status}"] += 1
    print(dict(found))
    assert set(found) <= {"MemoryError", "NoneType"}, found
    assert found["MemoryError"] > 5, found


if __name__ == "__main__":
    main()
