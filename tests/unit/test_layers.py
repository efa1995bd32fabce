"""Which room of the Python layer may import which."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "python" / "ferromongo"


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def modules() -> list[tuple[str, set[str]]]:
    paths = sorted(PACKAGE.rglob("*.py"))
    assert paths
    return [(str(path.relative_to(PACKAGE)), imported(path)) for path in paths]


def test_only_calls_drive_and_bson_know_the_engine() -> None:
    for name, names in modules():
        if "ferromongo._core" in names:
            assert name.startswith(("_calls/", "_drive.py", "bson")), name


def test_calls_know_no_public_class_and_wait_for_nothing() -> None:
    for name, names in modules():
        if name.startswith("_calls/"):
            assert not any(".asynchronous" in n or ".synchronous" in n for n in names), name
            assert "asyncio" not in names, name
            assert "ferromongo._drive" not in names, name
            text = (PACKAGE / name).read_text(encoding="utf-8")
            nodes = ast.walk(ast.parse(text))
            assert not any(isinstance(node, (ast.Await, ast.AsyncFunctionDef)) for node in nodes)


def test_private_names_of_pymongo_are_listed_in_one_file() -> None:
    for name, names in modules():
        if name != "_pymongo_internals.py":
            private = {n for n in names if n.startswith(("pymongo.", "bson.")) and "._" in n}
            assert not private, name


def test_gevent_and_eventlet_are_named_in_one_file_each() -> None:
    for name, names in modules():
        for library in ("gevent", "eventlet"):
            known = {n for n in names if n.split(".")[0] == library}
            assert not known or name == f"_hubs/of_{library}.py", name
        if name.startswith("_hubs/"):
            assert {n for n in names if n.startswith("ferromongo")} <= {
                "ferromongo._hubs",
                "ferromongo._hubs.Bell",
                "ferromongo._hubs.of_gevent",
                "ferromongo._hubs.of_eventlet",
            }
