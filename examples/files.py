"""A file goes into GridFS and comes back, with a bar for each way: `python examples/files.py`.

It starts a real replica set of its own, or uses the one FERROMONGO_TEST_URI names. The bar is that
of tqdm (`pip install tqdm`), or one of text where tqdm is not installed.
"""

import importlib.util
import os
import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

from ferromongo import MongoClient
from ferromongo.embedded import ReplicaSet
from ferromongo.gridfs import GridFSBucket

SIZE = 16 * 1024 * 1024


def main():
    with ExitStack() as stack:
        uri = os.environ.get("FERROMONGO_TEST_URI")
        uri = uri or stack.enter_context(ReplicaSet(members=1)).uri
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        client = stack.enter_context(MongoClient(uri))
        client.drop_database("files_example")
        bucket = GridFSBucket(client.files_example)
        original, copy = folder / "tea.bin", folder / "copy.bin"
        original.write_bytes(os.urandom(SIZE))

        print(f"\n== Up: {original.name}, {SIZE >> 20} MiB")
        key = bucket.upload_from_path(original, metadata={"lang": "en"}, progress=bar())
        print("== Down, under a temporary name until it is whole")
        bucket.download_to_path(key, copy, progress=bar())
        if copy.read_bytes() != original.read_bytes():
            raise AssertionError("what came back is something else")
        print("What came back is what went up")

        print("\n== A part: the last ten bytes")
        with bucket.open_download_stream(key, start=SIZE - 10) as part:
            print(part.read() == original.read_bytes()[-10:])

        print("\n== An upload that fails midway")
        try:
            bucket.upload_from_path(original, "broken.bin", progress=lose_patience)
        except InterruptedError as error:
            print(f"{error}; chunks left behind: {len(bucket.find_orphans(timedelta(0)))}")
        client.drop_database("files_example")


def bar():
    """For `progress=`: True for tqdm's bar, or a function that draws one."""
    return True if importlib.util.find_spec("tqdm") else draw


def draw(done, total):
    width = 40
    full = width * done // total
    end = "\n" if done == total else "\r"
    print(f"[{'#' * full:{width}}] {done / 2**20:5.1f} of {total / 2**20:.1f} MiB", end=end)


def lose_patience(done, total):
    if done > total // 2:
        raise InterruptedError("stopped half way")


if __name__ == "__main__":
    main()
