"""The examples run to their end as a reader would run them, and say what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SAID_BY_BOTH = (
    "['Neptune', 'Earth']",
    "left 3",
    "DuplicateKeyError, code 11000 on {'name': 'Earth'}",
    "inserted 3 upserted {3: 'Betelgeuse'}",
    "modified 3 deleted 1",
    "write 0 failed with code 11000",
    "write 2 failed with code 14",
    "inserted 1 modified 1",
    "yellow: Procyon, of 1",
    "Mars has Perseverance",
    "balances now {'Ada': 900, 'Ben': 300}",
    "rolled back: Ben does not exist or has less than 2000",
    "rolled back: Nobody does not exist",
    "Shown: reads and writes, errors, bulk writes, aggregation, sessions, transactions",
)
SAID = {
    "tour.py": (*SAID_BY_BOTH, "heard of ['aggregate', 'find'"),
    "tour_async.py": (*SAID_BY_BOTH, "20 answers", "balances now {'Ada': 800, 'Ben': 400}"),
}


@pytest.mark.parametrize("example", SAID)
def test_example_runs_and_says(example):
    said = run(example, os.environ)
    missing = [line for line in SAID[example] if line not in said]
    assert not missing, said
    withdrawn_and_rolled_back = "withdrew 50 from Ada\n  rolled back: Nobody"
    assert withdrawn_and_rolled_back in said


@pytest.mark.parametrize("example", ["transfer.py", "transfer_async.py"])
def test_two_transfers_meet(example, mongodb_uri):
    said = run(example, {**os.environ, "FERROMONGO_TEST_URI": mongodb_uri})
    [refused] = re.findall(r"  (\w+), try \d+: refused, that does not cover 80", said)
    [paid] = {"Ben", "Cleo"} - {refused}
    assert f"{paid}, try 1: paid 80" in said
    assert f"{refused}, try 1: Ada has 100\n" in said
    assert f"{refused}, try 1: WriteConflict, so all of it again" in said
    assert str({"Ada": 20, "Ben": 0, "Cleo": 0} | {paid: 80}) in said


def test_a_file_goes_up_and_comes_back(mongodb_uri, tmp_path):
    # A bar of text, whether tqdm is installed or not: this name hides it.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['tqdm'] = None")
    uri = {"FERROMONGO_TEST_URI": mongodb_uri, "PYTHONPATH": str(tmp_path)}
    said = run("files.py", {**os.environ, **uri})
    assert said.count(f"[{'#' * 40}]  16.0 of 16.0 MiB\n") == 2
    assert f"[{' ' * 40}]   0.0 of 16.0 MiB" in said
    assert "What came back is what went up" in said
    assert "stopped half way; chunks left behind: 0" in said


def run(example, environment):
    # Warnings are errors there too: a reader's program must not leak a socket or a coroutine.
    # Not -X dev: asyncio's debug mode complains of slow steps when the machine is busy.
    command = [sys.executable, "-W", "error", str(EXAMPLES / example)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_notebook_runs_and_shows(tmp_path):
    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    stored = [cell.source for cell in notebook.cells]
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} <= {"execute_result", "stream"}
    assert not [output for output in outputs if output.get("name") == "stderr"]
    plain = "".join(_text(output, "text/plain") for output in outputs)
    tables = "".join(_text(output, "text/html") for output in outputs)
    for text in NOTEBOOK_SAYS:
        assert text in plain
    for text in NOTEBOOK_SHOWS:
        assert text in tables
    assert "<b>giant" not in tables
    assert [cell.source for cell in notebook.cells] == stored


def _text(output, kind):
    return output.get("text", "") or output.get("data", {}).get(kind, "")


NOTEBOOK_SAYS = (
    "Sirius\n",
    "['Canopus', 'Arcturus', 'Betelgeuse']",
    "{'_id': 'red', 'stars': 2, 'brightest': 0.42}",
    "rolled back: no, not all of them\n5",
    "['white', 'orange', 'red']",
    "('insert', {'_id': 'Vega', 'magnitude': 0.03})",
)
NOTEBOOK_SHOWS = (
    "RSPrimary",
    "inserted ids",
    "not sent",
    "next documents",
    "Canopus",
    "modified count",
    "MongoClient: closed",
)
