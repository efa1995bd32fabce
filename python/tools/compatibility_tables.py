"""Write the tables of docs/compatibility.md from tests/parity/differences.py.

    python python/tools/compatibility_tables.py           write the page
    python python/tools/compatibility_tables.py --check   exit with 1 if it would change

A table stands between `<!-- table: NAME -->` and `<!-- end -->`, NAME being that of a list there.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def main(arguments: list[str]) -> int:
    lists = runpy.run_path(str(ROOT / "tests" / "parity" / "differences.py"))
    old = PAGE.read_text(encoding="utf-8")
    new = TABLE.sub(lambda match: f"{match[1]}{table(lists[match[2]])}{match[3]}", old)
    if new == old:
        return 0
    check = arguments == ["--check"]
    if not check:
        PAGE.write_text(new, encoding="utf-8")
    print(f"{'differs' if check else 'written'}: {PAGE.relative_to(ROOT)}")
    return 1 if check else 0


def table(differences: list[Any]) -> str:
    lines = ["| name | difference | reason |", "| --- | --- | --- |"]
    for what, subjects, reason in differences:
        names = ", ".join(re.sub(r"^([\w.]+)", r"`\1`", subject) for subject in subjects)
        lines.append(f"| {names} | {what} | {reason} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
