"""Celery: tasks and results through MongoDB, in workers that are forked."""

import os
import sys

from celery import Celery, chain, chord, group
from celery.contrib.testing.worker import start_worker
from pymongo import MongoClient

app = Celery("tasks")
app.conf.update(
    mongodb_backend_settings={"taskmeta_collection": "results"},
    worker_hijack_root_logger=False,
    result_extended=True,
)
parent = os.getpid()
client = None


@app.task
def double(number):
    """Uses the client that was made before the workers were forked."""
    client.celery.doubled.insert_one({"number": number, "forked": os.getpid() != parent})
    return 2 * number


@app.task
def total(numbers):
    return sum(numbers)


@app.task(throws=ValueError)
def fail():
    raise ValueError("as it should")


def main(uri: str) -> None:
    global client
    app.conf.update(
        broker_url=uri.replace("/?", "/celery_broker?"),
        result_backend=uri.replace("/?", "/celery?"),
    )
    with MongoClient(uri) as client:
        client.admin.command("ping")
        with start_worker(app, pool="prefork", concurrency=2, perform_ping_check=False):
            print(double.delay(21).get(timeout=60))
            print(group(double.s(number) for number in range(4))().get(timeout=60))
            result = chord((double.s(number) for number in range(4)), total.s())()
            print(
                "chord",
                result.get(timeout=60),
                "chain",
                chain(double.s(3), double.s())().get(timeout=60),
            )
            assert result.get() == 12
            failed = fail.delay()
            try:
                failed.get(timeout=60)
            except ValueError as error:
                print("failed:", error, failed.state)
            failed.forget()
        doubled = client.celery.doubled
        print(doubled.count_documents({}), doubled.distinct("forked"))
        print(
            sorted(client.celery.results.distinct("status")),
            client.celery.results.find_one({"result": "42"})["args"],
        )


if __name__ == "__main__":
    main(sys.argv[1])
