"""Write the tables of docs/compatibility.md from what the tests compare.

    python python/tools/compatibility_tables.py           write the page
    python python/tools/compatibility_tables.py --check   exit with 1 if it would change

A table stands between `<!-- table: NAME -->` and `<!-- end -->`, NAME being that of a list in
tests/parity/differences.py, or APPLICATIONS, which are those of tests/applications/programs.toml.
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

    def written(name: str) -> str:
        return applications() if name == "APPLICATIONS" else table(lists[name])

    old = PAGE.read_text(encoding="utf-8")
    new = TABLE.sub(lambda match: f"{match[1]}{written(match[2])}{match[3]}", old)
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


def applications() -> str:
    read = runpy.run_path(str(ROOT / "tests" / "applications" / "table.py"))
    lines = [
        "| library | what was run | what differs | if `install()` comes late |",
        "| --- | --- | --- | --- |",
    ]
    for program in sorted(read["programs"]().values(), key=lambda program: program.library.lower()):
        name = f"{program.library} {program.version}"
        cells = (name, program.does, program.first or "nothing", program.late or "nothing")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
