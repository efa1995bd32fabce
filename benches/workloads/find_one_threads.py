"""Eight threads share one client, each finding tweets by _id."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from benches.workloads import find_one_by_id

THREADS = 8


def sync(peer, items):
    shares = [items[thread::THREADS] for thread in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as threads:
        answers = list(threads.map(lambda share: find_one_by_id.sync(peer, share), shares))
    return {"last of each thread": answers}


def expected(items):
    shares = (items[thread::THREADS] for thread in range(THREADS))
    return {"last of each thread": [find_one_by_id.WORKLOAD.expected(share) for share in shares]}


WORKLOAD = replace(
    find_one_by_id.WORKLOAD,
    name="find_one_8_threads",
    title="find_one by _id, tweet, 8 threads",
    operations=1600,
    expected=expected,
    sync=sync,
    asynchronous=None,
)
