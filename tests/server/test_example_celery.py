"""examples/celery_worker.py with a real worker: its client is made before the worker forks."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.server.examples import EXAMPLES, with_database

# Processes of their own, which import much.
pytestmark = pytest.mark.timeout(400)

# What main() of the example does not show: which classes Celery and kombu use.
CLASSES = """
import json
from celery_worker import app

with app.connection() as connection:
    broker = connection.default_channel.client.client
clients = [app.backend.collection.database.client, broker]
print(json.dumps([type(client).__module__ for client in clients]))
for client in clients:
    client.close()
"""


@pytest.fixture
def environment(mongodb_uri, mongodb_database_name):
    environment = {**os.environ, "MONGODB_URI": with_database(mongodb_uri, mongodb_database_name)}
    environment.pop("CELERY_BROKER_URL", None)
    return environment


@pytest.fixture(params=["celery", "ferromongo run -m celery"])
def worker(request, environment, tmp_path):
    # A child for each task: the worker forks while it asks its broker, in MongoDB, for messages.
    command = f"-m {request.param} -A celery_worker worker --concurrency 2 --max-tasks-per-child 1"
    log = tmp_path / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, *command.split(), "--loglevel", "INFO"],
            cwd=EXAMPLES,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        while " ready.\n" not in log.read_text():
            assert worker.poll() is None, log.read_text()
            time.sleep(0.1)
        yield worker, log
    finally:
        if worker.poll() is None:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def test_tasks_run_in_children_and_the_worker_ends(worker, environment, database):
    process, log = worker
    said = python(environment, "celery_worker.py")
    assert said == "['tea for Ada', 'cup for Ada', 'pot for Ada']\nAda's total: 38\n"
    orders = database.orders.find().to_list()
    assert sorted(order["item"] for order in orders) == ["cup", "pot", "tea"]
    assert len({order["worker"] for order in orders} - {process.pid}) == 3
    # Results are stored under the ids of the tasks.
    results = database.celery_taskmeta.find({"status": "SUCCESS"}).distinct("_id")
    assert {order["_id"] for order in orders} < set(results)
    assert "customer_1" in database.orders.index_information()

    process.terminate()
    assert process.wait(120) == 0
    said = log.read_text()
    assert "Warm shutdown" in said
    for complaint in ("Traceback", "ERROR", "CRITICAL", "Warning: MongoClient"):
        assert complaint not in said, said


def test_results_and_messages_go_through_ferromongo(environment):
    classes = json.loads(python(environment, "-c", CLASSES))
    assert classes == ["ferromongo.synchronous.mongo_client"] * 2


def python(environment, *arguments):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=EXAMPLES,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout
