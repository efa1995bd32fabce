"""Press Ctrl-C at each line of what an atomic() block or function runs, one after the other; print
what is left of the transactions.

Arguments: form (with or call), server's URI, database.

The signal is raised by a trace function, before a line of ferromongo's Python code is run: the n-th
line in the n-th round, until a round comes to its end.
"""

import json
import signal
import sys

import ferromongo
from ferromongo.transaction import atomic, current_attempt, on_commit

ROUNDS_AT_MOST = 2000


def main(form, uri, database):
    with ferromongo.MongoClient(uri, maxPoolSize=2) as client:
        collection = client[database].c
        collection.insert_one({"_id": 0})
        report = {"rounds": 0, "left": [], "hooks": [], "wrong": []}
        for number in range(1, ROUNDS_AT_MOST):
            interrupted = one_round(form, client, collection, number, report)
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


def one_round(form, client, collection, number, report):
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

    def body():
        collection.insert_one({"_id": number})
        collection.update_one({"_id": 0}, {"$inc": {"n": 1}})
        on_commit(lambda: report["hooks"].append(number))

    try:
        sys.settrace(trace)
        if form == "with":
            with atomic(client):
                body()
        else:
            client.run_atomic(body)
        sys.settrace(None)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
