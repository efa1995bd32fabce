"""`python -m ferromongo run`, and a sitecustomize that installs ferromongo."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tests.server.install_programs import run

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys
import pymongo

class Kept:
    pass

if __name__ == "__main__":
    import pickle
    assert type(pickle.loads(pickle.dumps(Kept()))) is Kept
    assert sys.modules["__main__"].Kept is Kept
    print([name for name in sorted(globals()) if name not in ("pickle", "__warningregistry__")])
    print(sys.argv, sys.path[:2], __name__, __file__, __package__, __spec__ and __spec__.name)
    print(type(__loader__).__name__, __doc__, __cached__)
    print(pymongo.MongoClient.__module__.partition(".")[0])
    sys.exit(7)
"""


def python(cwd: Path, *arguments: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, cwd=cwd
    )
    return ended.returncode, ended.stdout, ended.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "script.py").write_text(SCRIPT)
    (tmp_path / "link.py").symlink_to(tmp_path / "below" / "script.py")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "package" / "__main__.py").write_text(SCRIPT)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "__main__.py").write_text(SCRIPT)
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("__main__.py", SCRIPT)
    return tmp_path


@pytest.mark.parametrize(
    "program",
    [
        ["below/script.py"],
        ["link.py", "-m", "--x"],
        ["-m", "package", "a", "-b"],
        ["-m", "below.script", "run"],
        ["folder", "a"],
        ["archive.zip"],
    ],
    ids=" ".join,
)
def test_a_program_sees_what_python_shows_it(folder: Path, program: list[str]) -> None:
    status, said, complaints = python(folder, *program)
    assert status == 7, complaints
    assert python(folder, "-m", "ferromongo", "run", *program) == (
        7,
        said.replace("\npymongo\n", "\nferromongo\n"),
        "",
    )


def test_safe_path_is_kept(folder: Path) -> None:
    (folder / "safe.py").write_text("import sys; print(sys.path[0])")
    plain = python(folder, "-P", "safe.py")
    assert python(folder, "-P", "-m", "ferromongo", "run", "safe.py") == plain


def test_mistakes_are_told(folder: Path) -> None:
    status, said, complaints = python(folder, "-m", "ferromongo", "run", "nothing.py")
    assert (status, said) == (2, "")
    assert "can't open file 'nothing.py'" in complaints
    status, said, complaints = python(folder, "-m", "ferromongo", "run", "-m", "no_such_module")
    assert (status, said) == (1, "")
    assert "No module named no_such_module" in complaints
    for arguments in ([], ["run"], ["run", "-m"], ["walk"]):
        status, said, complaints = python(folder, "-m", "ferromongo", *arguments)
        assert (status, said) == (2, ""), arguments
        assert complaints.startswith("usage: ")
    status, said, _ = python(folder, "-m", "ferromongo", "--help")
    assert status == 0
    assert said.startswith("usage: ")
    (folder / "fails.py").write_text("1 / 0")
    status, _, complaints = python(folder, "-m", "ferromongo", "run", "fails.py")
    assert status == 1
    assert "fails.py" in complaints
    assert "ZeroDivisionError" in complaints


def test_sitecustomize_of_the_documentation(mongodb_uri: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "moving.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```python\n(# sitecustomize\.py\n.*?)^```$", page, re.M | re.S)
    (tmp_path / "sitecustomize.py").write_text(example)
    program = """
        import multiprocessing, sys
        import pymongo

        def who(_):
            with pymongo.MongoClient(sys.argv[-1]) as client:
                client.admin.command("ping")
                return type(client).__module__.partition(".")[0]

        print(who(0))
        """
    assert run(program, mongodb_uri, PYTHONPATH=str(tmp_path)) == "pymongo\n"
    environment = {"PYTHONPATH": str(tmp_path), "FERROMONGO_INSTALL": "1"}
    assert run(program, mongodb_uri, **environment) == "ferromongo\n"
    (tmp_path / "worker.py").write_text(
        "import pymongo\n\ndef who(_):\n    return pymongo.MongoClient.__module__\n"
    )
    spawning = """
        import multiprocessing
        from worker import who

        with multiprocessing.get_context("spawn").Pool(1) as pool:
            print(pool.map(who, [1])[0])
        """
    assert run(spawning, cwd=tmp_path, **environment).startswith("ferromongo.")
