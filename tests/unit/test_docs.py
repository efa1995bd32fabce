"""The documentation is true: its snippets run and print what they say, its lists of options and of
what is missing are complete, and the files and functions named in `docs/` exist."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo.common import VALIDATORS

from ferromongo import AsyncMongoClient
from ferromongo._calls.client_settings import _UNSUPPORTED
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.asynchronous.collection import AsyncCollection
from ferromongo.asynchronous.command_cursor import AsyncCommandCursor
from ferromongo.asynchronous.cursor import AsyncCursor
from ferromongo.asynchronous.database import AsyncDatabase

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = {
    page: re.findall(
        r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for page in PAGES
}
URI = "mongodb://localhost:27017"


# Runs the snippets of a page one after the other, since starting Python takes longer than most of
# them do. Each begins without the database `shop`, and with nothing left of the one before.
RUNNER = """
import contextlib, gc, io, json, logging, runpy, sys, traceback, warnings
from pymongo import MongoClient

# Python 3.12 warns of each fork in a process with threads; the page on processes tells of it.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
# PyMongoArrow was built with an older pyarrow.
warnings.filterwarnings("ignore", "pyarrow.lib.*size changed", RuntimeWarning)
# asyncio's debug mode logs steps over 0.1 s, which says more of the machine than of the snippet.
logging.getLogger("asyncio").setLevel(logging.ERROR)
uri, *paths = sys.argv[1:]
ran = []
with MongoClient(uri) as client:
    for path in paths:
        client.drop_database("shop")
        said, complaints = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complaints):
            try:
                runpy.run_path(path, run_name="__main__")
            except BaseException:
                traceback.print_exc()
            gc.collect()
        ran.append(complaints.getvalue() or said.getvalue().splitlines())
    client.drop_database("shop")
print(json.dumps(ran))
"""

PUBLIC_CLASSES = (
    AsyncMongoClient,
    AsyncDatabase,
    AsyncCollection,
    AsyncCursor,
    AsyncCommandCursor,
    AsyncClientSession,
)


def test_readme_shows_both_apis():
    snippets = SNIPPETS[ROOT / "README.md"]
    assert sum(URI in snippet for snippet in snippets) >= 2
    assert any("AsyncMongoClient" in snippet for snippet in snippets)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "page", [page for page in PAGES if SNIPPETS[page]], ids=lambda page: page.name
)
def test_snippets(page, mongodb_uri, tmp_path):
    snippets = {
        f"snippet {number}": code
        for number, code in enumerate(SNIPPETS[page], 1)
        if "def test_" not in code
    }
    programs = [_program(tmp_path, name, code, mongodb_uri) for name, code in snippets.items()]
    ways = ["-W", "error", "-X", "dev"]
    done = _python(tmp_path, mongodb_uri, *ways, "-c", RUNNER, mongodb_uri, *programs)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = {
        name: said if isinstance(said, str) else ", ".join(said)
        for name, said in zip(snippets, json.loads(done.stdout), strict=True)
    }
    promised = {
        name: ", ".join(re.findall(r"# prints: (.*)$", code, re.MULTILINE))
        for name, code in snippets.items()
    }
    assert ran == promised
    assert done.stderr == ""


TESTS = [code for snippets in SNIPPETS.values() for code in snippets if "def test_" in code]


@pytest.mark.parametrize("code", TESTS)
def test_snippet_that_is_a_test(code, mongodb_uri, tmp_path):
    loops = "asyncio_default_fixture_loop_scope=function"  # without it, the plugin warns
    plugin = ["-o", loops] if "pytest_asyncio" in code else ["-p", "no:asyncio"]
    way = ["-W", "error", "-m", "pytest", "-p", "no:cacheprovider", *plugin]
    done = _python(tmp_path, mongodb_uri, *way, _program(tmp_path, "test_it", code, mongodb_uri))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{code.count('def test_')} passed" in done.stdout


def test_readme_names_every_refused_option():
    named = {_plain(name) for name in _named_in_row("ConfigurationError")}
    assert {_plain(name) for name in _UNSUPPORTED} <= named


@pytest.mark.parametrize("kind", PUBLIC_CLASSES, ids=lambda kind: kind.__name__)
def test_public_members_have_docstrings(kind):
    silent = [
        name
        for name in dir(kind)
        if not name.startswith("_") and not inspect.getdoc(getattr(kind, name))
    ]
    assert silent == []


def test_the_first_screen_names_what_is_refused():
    first = README.partition("## Install")[0]
    for name in ("auto_encryption_opts", "GSSAPI", "MONGODB-AWS", "MONGODB-OIDC"):
        assert name in first


def test_connecting_names_every_option():
    page = (ROOT / "docs/connecting.md").read_text(encoding="utf-8")
    table = page.partition("## All options")[2]
    named = {_plain(name) for name in re.findall(r"`(\w+)`", table)}
    assert {_plain(name) for name in VALIDATORS} <= named


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if "://" not in target]
    lost = [target for target in local if not (page.parent / target).exists()]
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors_are_headings(page):
    links = re.findall(r"\]\(([^)#\s]*)#([^)]+)\)", page.read_text(encoding="utf-8"))
    lost = [
        f"{target}#{anchor}"
        for target, anchor in links
        if "://" not in target and anchor not in _anchors(page.parent / target if target else page)
    ]
    assert not lost


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_functions_exist(page):
    """`src/net/wait.rs` is a file from the root, `src/net/wait.rs::poll` something it defines."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`([\w.-]+/[\w./-]+\.(?:rs|pyi?))(?:::(\w+))?`", text)
    lost = [f"{path}::{name}" for path, name in named if not _defines(ROOT / path, name)]
    assert not lost
    assert named or page.parent != ROOT / "docs"


def _anchors(page):
    """What GitHub makes of the headings of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _program(folder, name, code, uri):
    assert code.count("mongodb://") == code.count(URI), "a server that the test cannot replace"
    program = folder / f"{name.replace(' ', '_')}.py"
    program.write_text(code.replace(URI, uri), encoding="utf-8")
    return str(program)


def _python(folder, uri, *arguments):
    # The fixtures in a snippet need no second replica set.
    environment = {**os.environ, "FERROMONGO_TEST_URI": uri}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=380, cwd=folder, env=environment
    )


def _defines(path, name):
    if not path.is_file():
        return False
    kinds = "fn|struct|enum|trait|const|static|def|class"
    defined = rf"\b(?:{kinds}) {name}\b|^{name}\b.* = "
    return not name or re.search(defined, path.read_text(encoding="utf-8"), re.MULTILINE)


def _named_in_row(error):
    [row] = re.findall(rf"^\| `{error}` \|(.*)\|$", README, re.MULTILINE)
    return set(re.findall(r"`([^`]+)`", row))


def _plain(option):
    return option.replace("_", "").lower()
