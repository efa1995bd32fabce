"""A blocking client in a real gunicorn, with each worker of greenlets that it has."""

import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from gunicorn.workers import SUPPORTED_WORKERS

WORKERS = [name for name in ("gevent", "eventlet") if name in SUPPORTED_WORKERS]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port):
    for _ in range(400):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
                return json.load(answer)
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.05)
    raise AssertionError("gunicorn does not listen")


@pytest.mark.parametrize("preload", [[], ["--preload"]], ids=["each", "preload"])
@pytest.mark.parametrize("worker", WORKERS)
def test_requests_overlap_in_a_worker(worker, preload, mongodb_uri):
    """`preload`: the client was made, though not used, before the fork."""
    port = free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-W", "ignore", "-m", "gunicorn", "-k", worker, "-w", "1"),
            *("-b", f"127.0.0.1:{port}", "--log-level", "warning", *preload),
            "tests.fault.programs.gunicorn_app:application",
        ],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "GUNICORN_URI": mongodb_uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        with concurrent.futures.ThreadPoolExecutor(5) as pool:
            answers = [future.result() for future in [pool.submit(ask, port) for _ in range(5)]]
        assert {answer["most"] for answer in answers} == {5}
    finally:
        server.terminate()
        said, _ = server.communicate(timeout=30)
    assert server.returncode == 0, said
