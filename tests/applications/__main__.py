"""Run the programs of this folder in three ways and print a table: `make applications`.

    python -m tests.applications              all
    python -m tests.applications limits       only these

Exits with 1 if a program fails on PyMongo, or differs otherwise than programs.toml says.
"""

import sys
import textwrap

from tests.applications.environments import python_of
from tests.applications.table import Program, programs
from tests.applications.ways import FIRST, LATE, PLAIN, Outcome, differences, run

from ferromongo.embedded import ReplicaSet


def main(arguments: list[str]) -> int:
    known = programs()
    names = [name for argument in arguments for name in argument.split(",") if name]
    if unknown := sorted(set(names) - set(known)):
        print(f"no such program: {', '.join(unknown)}; there are {', '.join(known)}")
        return 2
    wrong = 0
    with ReplicaSet() as replica_set:
        for name in names or known:
            wrong += not _try(known[name], replica_set.uri)
    print(f"{wrong} not as expected" if wrong else "all as expected")
    return int(wrong > 0)


def _try(program: Program, uri: str) -> bool:
    """Run it and print its lines of the table; returns whether all is as programs.toml says."""
    title = f"{program.library} {program.version}"
    print(f"{title:25}", end=" ", flush=True)
    python = python_of(program)
    plain = run(program, PLAIN, python, uri)
    if plain.drivers != {"PyMongo"} or "(ended with" in plain.said:
        print("fails on PyMongo", *_indented(_everything(plain)), sep="\n")
        return False
    good = True
    results = []
    details = []
    for way, expected in ((FIRST, program.first), (LATE, program.late)):
        outcome = run(program, way, python, uri)
        found = differences(plain, outcome)
        if bool(found) == bool(expected):
            results.append(f"{way}: {expected or 'the same'}")
        else:
            good = False
            results.append(f"{way}: {'DIFFERS' if found else f'the same, UNLIKE {expected!r}'}")
            details += [found, outcome.complaints] if found else []
    print("; ".join(results), *_indented("\n".join(details)), sep="\n")
    return good


def _everything(outcome: Outcome) -> str:
    return f"{outcome.said}{outcome.complaints}drivers: {sorted(outcome.drivers)}"


def _indented(text: str) -> list[str]:
    return [textwrap.indent(text.rstrip(), "    ")] if text.strip() else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
