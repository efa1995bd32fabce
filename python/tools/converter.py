"""What the converters of the asynchronous classes share: files kept up to date, words, formatting.

A converter is a program of its own, with a table of what it makes: `async_to_sync.py`,
`async_to_motor.py`.

    python python/tools/<converter>.py           write the files
    python python/tools/<converter>.py --check   exit with 1 if a file differs
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import libcst as cst

PACKAGE = Path(__file__).resolve().parent.parent / "ferromongo"


def bring_up_to_date(wanted: Mapping[Path, str], obsolete: set[Path], arguments: list[str]) -> int:
    """Write the files that differ and remove the obsolete ones, or only name them (`--check`)."""
    check = arguments == ["--check"]
    stale = sorted(obsolete)
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(path)
    for path in stale:
        if not check:
            if path in obsolete:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(wanted[path], encoding="utf-8")
        print(f"{'differs' if check else 'written'}: {path.relative_to(PACKAGE.parent)}")
    return 1 if check and stale else 0


def reworded(text: str, word_for: Callable[[str], str]) -> str:
    """Prose and examples, in which any word may be one of the names."""
    return re.sub(r"\w+", lambda word: word_for(word.group()), text)


class Renaming(cst.CSTTransformer):
    """Swaps names wherever they occur, in docstrings and messages too."""

    def name(self, name: str) -> str:
        raise NotImplementedError

    def text(self, text: str) -> str:
        raise NotImplementedError

    def leave_Name(self, original_node: cst.Name, updated_node: cst.Name) -> cst.BaseExpression:
        return updated_node.with_changes(value=self.name(updated_node.value))

    def leave_SimpleString(
        self, original_node: cst.SimpleString, updated_node: cst.SimpleString
    ) -> cst.SimpleString:
        return updated_node.with_changes(value=self.text(updated_node.value))

    def leave_FormattedStringText(
        self, original_node: cst.FormattedStringText, updated_node: cst.FormattedStringText
    ) -> cst.FormattedStringText:
        return updated_node.with_changes(value=self.text(updated_node.value))

    def leave_Comment(self, original_node: cst.Comment, updated_node: cst.Comment) -> cst.Comment:
        return updated_node.with_changes(value=self.text(updated_node.value))

    def leave_ImportFrom(
        self, original_node: cst.ImportFrom, updated_node: cst.ImportFrom
    ) -> cst.ImportFrom:
        if isinstance(updated_node.names, cst.ImportStar):
            return updated_node
        # Two names may have become one.
        bare = [name.with_changes(comma=cst.MaybeSentinel.DEFAULT) for name in updated_node.names]
        unique = {cst.Module([]).code_for_node(name): name for name in bare}
        return updated_node.with_changes(names=list(unique.values()))


def ruff(text: str) -> str:
    """Sort imports and names, drop imports that are no longer used, and format."""
    # The file name lets ruff find the project's settings.
    file_name = ["--stdin-filename", str(PACKAGE / "synchronous" / "module.py"), "-"]
    lint = ["check", "--quiet", "--fix-only", "--select", "I,F401,RUF022"]
    for step in (lint, ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *step, *file_name],
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        text = done.stdout
    return text
