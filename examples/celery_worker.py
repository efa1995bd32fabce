"""A Celery worker whose tasks, messages and results are in MongoDB.

    pip install celery
    export MONGODB_URI=mongodb://localhost:27017
    cd examples
    celery -A celery_worker worker --concurrency 2    # Ctrl-C ends it
    python celery_worker.py                           # in another shell: runs some tasks

`python -m ferromongo.embedded` starts a server and prints its URI. MongoDB is the broker here, so
that nothing else has to run; CELERY_BROKER_URL names another, such as RabbitMQ. A program that must
not change runs with `python -m ferromongo run -m celery -A tasks worker`, without `install()`.
"""

import os
from typing import Any

import ferromongo

# Celery keeps results, and kombu messages, with pymongo. They use ferromongo from here on.
ferromongo.install()

from celery import Celery, Task, group  # noqa: E402
from celery.signals import worker_init  # noqa: E402

from ferromongo import MongoClient  # noqa: E402
from ferromongo.errors import ConnectionFailure  # noqa: E402

URI = os.environ.get("MONGODB_URI", "mongodb://localhost:27017")

app = Celery("celery_worker", broker=URI, backend=URI)
app.conf.broker_connection_retry_on_startup = True

# One client for the whole module. The worker's children are forked later and use it as it is; each
# opens connections of its own. No handler of worker_process_init is needed.
client: MongoClient[dict[str, Any]] = MongoClient(URI)
orders = client.get_default_database("shop").orders


@worker_init.connect
def create_indexes(**_: Any) -> None:
    """Once per worker, before it forks."""
    orders.create_index("customer")


@app.task(bind=True, autoretry_for=(ConnectionFailure,), retry_backoff=True)
def take_order(task: Task, customer: str, item: str, price: int) -> str:
    """Celery may run a task twice. With the task's id as `_id`, the order is stored once."""
    order = {"customer": customer, "item": item, "price": price, "worker": os.getpid()}
    orders.update_one({"_id": task.request.id}, {"$setOnInsert": order}, upsert=True)
    return f"{item} for {customer}"


@app.task(autoretry_for=(ConnectionFailure,), retry_backoff=True)
def total(customer: str) -> int:
    of_customer = {"$match": {"customer": customer}}
    summed = {"$group": {"_id": None, "total": {"$sum": "$price"}}}
    with orders.aggregate([of_customer, summed]) as found:
        return sum(row["total"] for row in found)


if __name__ == "__main__":
    basket = [("tea", 4), ("cup", 9), ("pot", 25)]
    taken = group(take_order.s("Ada", item, price) for item, price in basket).apply_async()
    print(taken.get(timeout=120))
    print("Ada's total:", total.delay("Ada").get(timeout=120))
    client.close()
