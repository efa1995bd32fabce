"""Press Ctrl-C at each line of what an atomic() block or function runs, one after the other; print
what is left of the transactions.

Arguments: form (with, call or async), server's URI, database.

The signal is raised by a trace function, before a line of ferromongo's Python code is run: the n-th
line in the n-th round, until a round comes to its end.
"""

import asyncio
import contextlib
import functools
import json
import signal
import sys

import ferromongo
from ferromongo.transaction import atomic, current_attempt, on_commit

ROUNDS_AT_MOST = 2000


def main(form, uri, database):
    with contextlib.ExitStack() as stack:
        client = stack.enter_context(ferromongo.MongoClient(uri, maxPoolSize=2))
        collection = client[database].c
        collection.insert_one({"_id": 0})
        work = with_block if form == "with" else call
        if form == "async":
            runner = stack.enter_context(asyncio.Runner())
            other = ferromongo.AsyncMongoClient(uri, maxPoolSize=2)
            stack.callback(lambda: runner.run(other.close()))
            work = functools.partial(in_task, runner, other)
        report = {"rounds": 0, "hooks": [], "wrong": []}
        for number in range(1, ROUNDS_AT_MOST):
            interrupted = one_round(work, collection, number, report)
            # The pool has both of its connections, no lock is held, no scope is left.
            collection.update_one({"_id": 0}, {"$set": {"round": number}})
            found = collection.find_one({"_id": number}) is not None
            if current_attempt() or not (found or interrupted):
                report["wrong"].append(number)
            if number in report["hooks"] and not found:
                report["wrong"].append(-number)
            report["rounds"] = number
            if not interrupted:
                break
    print(json.dumps(report))


def one_round(work, collection, number, report):
    """Whether there was a line for the signal to come before."""
    steps = 0

    def trace(frame, event, argument):
        nonlocal steps
        if "/ferromongo/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            steps += 1
            if steps == number:
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return trace

    try:
        work(collection, number, report["hooks"], trace)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    return steps >= number


def with_block(collection, number, hooks, trace):
    sys.settrace(trace)
    with atomic(collection.database.client):
        body(collection, number, hooks)


def call(collection, number, hooks, trace):
    sys.settrace(trace)
    collection.database.client.run_atomic(body, collection, number, hooks)


def body(collection, number, hooks):
    collection.insert_one({"_id": number})
    collection.update_one({"_id": 0}, {"$inc": {"n": 1}})
    on_commit(lambda: hooks.append(number))


def in_task(runner, client, beside, number, hooks, trace):
    """The signal cancels the task, at its next step that waits."""
    collection = client[beside.database.name].c

    async def work():
        sys.settrace(trace)
        async with atomic(client):
            await collection.insert_one({"_id": number})
            await collection.update_one({"_id": 0}, {"$inc": {"n": 1}})
            on_commit(lambda: hooks.append(number))

    runner.run(work())


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
