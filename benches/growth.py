"""`python -m benches growth`: what stays resident while a million small documents pass by.

Each peer iterates over one cursor in a process of its own. Run as a child,
`python -m benches.growth KIND PEER URI COUNT` prints what is resident after a tenth of
the documents and after all, and the highest mark, in bytes above what it was before.
"""

import argparse
import json
import sys

from pymongo import MongoClient

from benches import documents, server
from benches.group import Group
from benches.mongojet_peer import leave
from benches.peers import DATABASE, PEERS
from benches.report import table
from benches.resident import in_child, peak_above_now, resident
from benches.workloads import aggregate, run_command
from benches.workloads.contract import Workload


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benches growth", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="of documents")
    options = parser.parse_args(arguments)
    rows = []
    with server.deployment() as uri, MongoClient(uri) as control:
        documents.fill(control[DATABASE], "small", documents.small_document())
        for peer in PEERS:
            if not peer.absence():
                print(f"{peer.name} ({peer.kind}) ...", file=sys.stderr, flush=True)
                child = (peer.kind, peer.name, server.quiet(uri), str(options.count))
                marks = in_child("benches.growth", *child)
                rows.append((peer.name, peer.kind, *(f"{mark / 1e6:.1f}" for mark in marks)))
        control.drop_database(DATABASE)
    print(table(("peer", "API", "MB after a tenth", "after all", "peak"), rows))
    return 0


def measure_here(kind, peer_name, uri, count):
    """(after a tenth, after all, peak)"""
    peer = next(one for one in PEERS if (one.kind, one.name) == (kind, peer_name))
    marks = {}

    def note(number):
        if number in (int(count) // 10, int(count)):
            marks[number] = resident()

    with Group(kind, [peer]) as group:
        [opened] = group.at(uri)
        group.measure(run_command.WORKLOAD, opened, range(10))  # connects, loads
        before = resident()
        reading = (many_times_over(int(count)), note)
        peak = peak_above_now(lambda: group.measure(READING, opened, reading))
        return *(mark - before for mark in marks.values()), peak


def many_times_over(count):
    """A pipeline that makes `count` documents of the stored ones."""
    copies = range(count // documents.COUNT)
    return [{"$set": {"copy": list(copies)}}, {"$unwind": "$copy"}]


def sync(peer, items):
    pipeline, note = items
    for number, _ in enumerate(peer.database["small"].aggregate(pipeline), 1):
        note(number)


async def asynchronous(peer, items):
    pipeline, note = items
    number = 0
    async for _ in await aggregate.cursor(peer.database["small"], pipeline):
        number += 1
        note(number)


READING = Workload(
    name="growth",
    title="iterate over many small documents",
    operations=1,
    items=lambda operations: None,
    expected=lambda items: {},
    sync=sync,
    asynchronous=asynchronous,
)

if __name__ == "__main__":
    print(json.dumps(measure_here(*sys.argv[1:])))
    leave(0)
