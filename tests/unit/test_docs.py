"""The documentation is true: its snippets run and print what they say, its lists of options and of
what is missing are complete, and the files and functions named in `docs/` exist."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pymongo import MongoClient
from pymongo.common import VALIDATORS

from ferromongo._calls.client_settings import _UNSUPPORTED

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SNIPPETS = {
    f"{page.name}-{number}": code
    for page in PAGES
    for number, code in enumerate(
        re.findall(
            r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
    )
}
URI = "mongodb://localhost:27017"


@pytest.fixture
def no_shop(mongodb_uri):
    """The database that the snippets use is empty before and gone after."""
    with MongoClient(mongodb_uri) as client:
        client.drop_database("shop")
        yield
        client.drop_database("shop")


def test_readme_shows_both_apis():
    snippets = [code for name, code in SNIPPETS.items() if name.startswith("README")]
    assert sum(URI in snippet for snippet in snippets) >= 2
    assert any("AsyncMongoClient" in snippet for snippet in snippets)


@pytest.mark.parametrize("code", SNIPPETS.values(), ids=SNIPPETS)
@pytest.mark.usefixtures("no_shop")
def test_snippet(code, mongodb_uri, tmp_path):
    assert code.count("mongodb://") == code.count(URI), "a server that the test cannot replace"
    program = tmp_path / "test_snippet.py"
    program.write_text(code.replace(URI, mongodb_uri), encoding="utf-8")
    is_test = "def test_" in code
    way = (
        ["-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio"] if is_test else ["-X", "dev"]
    )
    # The fixtures in a snippet need no second replica set.
    environment = {**os.environ, "FERROMONGO_TEST_URI": mongodb_uri}
    done = subprocess.run(
        [sys.executable, "-W", "error", *way, str(program)],
        capture_output=True,
        text=True,
        timeout=50,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    if is_test:
        assert "1 passed" in done.stdout
    else:
        said = re.findall(r"# prints: (.*)$", code, re.MULTILINE)
        assert ", ".join(done.stdout.splitlines()) == ", ".join(said)
        assert done.stderr == ""


def test_readme_names_every_refused_option():
    named = {_plain(name) for name in _named_in_row("ConfigurationError")}
    assert {_plain(name) for name in _UNSUPPORTED} <= named


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
def test_files_and_functions_exist(page):
    """`src/net/wait.rs` is a file from the root, `src/net/wait.rs::poll` something it defines."""
    text = page.read_text(encoding="utf-8")
    named = re.findall(r"`([\w.-]+/[\w./-]+\.(?:rs|pyi?))(?:::(\w+))?`", text)
    lost = [f"{path}::{name}" for path, name in named if not _defines(ROOT / path, name)]
    assert not lost
    assert named or page.parent != ROOT / "docs"


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
