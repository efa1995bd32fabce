"""Run mypy over files it must accept and one whose marked lines it must refuse."""

import re
import subprocess
import sys
from pathlib import Path

import pymongo
import pytest
from tests.parity.surface import module, module_paths, public_names

import ferromongo

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def mypy(path: Path) -> str:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(path)]
    # From the project's root, so that its configuration finds the sources.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["accepted.py", "accepted_motor.py"])
def test_accepted(name: str) -> None:
    assert mypy(HERE / name) == ""


def test_every_public_name_is_exported(tmp_path: Path) -> None:
    """Whatever can be imported from a module of PyMongo, a type checker finds in ours."""
    program = tmp_path / "imports.py"
    ours = set(module_paths(ferromongo))
    names = [
        (f"ferromongo.{path}".rstrip("."), name)
        for path in module_paths(pymongo)
        if path in ours
        for name in public_names(module(pymongo, path))
    ]
    assert ("ferromongo.errors", "DuplicateKeyError") in names
    imports = [f"from {path} import {name} as _{n}" for n, (path, name) in enumerate(names)]
    program.write_text("\n".join(imports), encoding="utf-8")
    assert mypy(program) == ""


def test_rejected() -> None:
    source = (HERE / "rejected.py").read_text(encoding="utf-8").splitlines()
    marked = {
        (number, code)
        for number, line in enumerate(source, 1)
        for code in re.findall(r"# error: ([\w-]+)", line)
    }
    errors = re.findall(
        r"rejected\.py:(\d+): error: .*\[([\w-]+)\]$", mypy(HERE / "rejected.py"), re.M
    )
    reported = {(int(number), code) for number, code in errors}
    assert marked
    assert reported == marked
