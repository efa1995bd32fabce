"""The peers that wait in the same way, kept open over the whole run.

The async group owns one event loop, on which every body of that group is run.
"""

import asyncio
import contextlib
import gc
import time
from dataclasses import dataclass

from benches.peers import remove_directories


@dataclass(frozen=True)
class Sample:
    """What one measurement took, in seconds; CPU is user and system of this process."""

    wall: float
    cpu: float


class Group:
    def __init__(self, kind, peers, loop_factory=None):
        self.kind = kind
        self.peers = peers
        self._open = {}
        self._runner = asyncio.Runner(loop_factory=loop_factory)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for opened in self._open.values():
            for peer in opened:
                self._wait_for(peer.close())
        remove_directories()
        self._runner.close()

    def at(self, uri, *, listened=False, log=None):
        """The peers connected to `uri`, the reference first; without those that cannot be."""
        key = uri, listened, log
        if key not in self._open:
            opened = self._open[key] = []
            for peer in self.peers:
                with contextlib.suppress(NotImplementedError):
                    opened.append(self._wait_for(peer.open(uri, listened=listened, log=log)))
        return self._open[key]

    def measure(self, workload, peer, items):
        """(sample, answer) of one pass of the workload's body over `items`."""
        body = workload.body(self.kind)
        gc.collect()
        if self.kind == "async":
            return self._runner.run(measured_coroutine(body, peer, items, answers := [])), *answers
        return measured_call(body, peer, items)

    def _wait_for(self, result):
        return self._runner.run(as_coroutine(result)) if self.kind == "async" else result


def measured_call(body, peer, items):
    cpu, wall = time.process_time(), time.perf_counter()
    answer = body(peer, items)
    return Sample(time.perf_counter() - wall, time.process_time() - cpu), answer


async def measured_coroutine(body, peer, items, answers):
    """An answer of 50 MB must not be the task's: asyncio.Runner makes the repr of its task."""
    cpu, wall = time.process_time(), time.perf_counter()
    answers.append(await body(peer, items))
    return Sample(time.perf_counter() - wall, time.process_time() - cpu)


async def as_coroutine(awaitable):
    return await awaitable
