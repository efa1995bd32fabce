"""`python -m benches greenlets`: the blocking API in greenlets of gevent, beside PyMongo's.

The work is done in a process of its own, which is patched before anything else.
"""

import sys

if __name__ == "__main__":
    from gevent import monkey

    monkey.patch_all()

import argparse
import importlib
import random
import statistics
import subprocess
import time

from benches import documents, server
from benches.documents import COUNT
from benches.peers import DATABASE

PEERS = ("ferromongo", "pymongo")
GOAL = 1.5


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m benches greenlets", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a quarter of the work")
    parser.add_argument("--gate", action="store_true", help=f"exit code 1 below {GOAL}x wall")
    options = parser.parse_args(arguments)
    with server.deployment() as uri:
        share = "4" if options.quick else "1"
        command = [sys.executable, "-m", "benches.greenlets", uri, str(options.rounds), share]
        lines = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    print("Ratio of PyMongo's time to ferromongo's: the median of the rounds, and their range.\n")
    print("| work | wall | client CPU |\n| --- | --- | --- |")
    least = float("inf")
    for line in lines.splitlines():
        name, wall, wall_range, cpu, cpu_range = line.split("\t")
        print(f"| {name} | {wall}x ({wall_range}) | {cpu}x ({cpu_range}) |")
        least = min(least, float(wall))
    return 1 if options.gate and least < GOAL else 0


def find_one(collection, number):
    found = collection.find_one({"_id": number % COUNT})
    assert found["_id"] == number % COUNT


def ping(collection, number):
    assert collection.database.command("ping")["ok"] == 1


def iterate(collection, number):
    assert sum(1 for _ in collection.find()) == COUNT


# Name, what is called, how often, by how many greenlets.
WORKS = [
    ("ping, one greenlet", ping, 2000, 1),
    ("find_one by `_id`, one greenlet", find_one, 2000, 1),
    ("find_one by `_id`, 50 greenlets", find_one, 4000, 50),
    ("find_one by `_id`, 500 greenlets", find_one, 4000, 500),
    ("find 10,000 tweets, one greenlet", iterate, 2, 1),
    ("find 10,000 tweets, 5 greenlets", iterate, 5, 5),
]


def work(uri, rounds, share):
    clients = {peer: importlib.import_module(peer).MongoClient(server.quiet(uri)) for peer in PEERS}
    documents.fill(clients["pymongo"][DATABASE], "tweets", documents.tweet())
    for name, call, times, greenlets in WORKS:
        ratios = []
        for turn in range(rounds + 1):
            order = random.sample(PEERS, len(PEERS))
            taken = {}
            for peer in order:
                collection = clients[peer][DATABASE].tweets
                taken[peer] = measure(collection, call, max(greenlets, times // share), greenlets)
            if turn:  # the first warms up
                ours, theirs = (taken[peer] for peer in PEERS)
                ratios.append([their / our for their, our in zip(theirs, ours, strict=True)])
        told = []
        for kind in zip(*ratios, strict=True):
            told += [f"{statistics.median(kind):.2f}", f"{min(kind):.2f} to {max(kind):.2f}"]
        print(name, *told, sep="\t", flush=True)
    for client in clients.values():
        client.close()


def measure(collection, call, times, greenlets):
    """Wall and CPU seconds."""
    import gevent

    def several(first):
        for number in range(first, times, greenlets):
            call(collection, number)

    wall, cpu = time.perf_counter(), time.process_time()
    gevent.joinall([gevent.spawn(several, first) for first in range(greenlets)], raise_error=True)
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
