"""`python -m ferromongo.journal`: the files of transaction logs.

    python -m ferromongo.journal FILE                    print its transactions
    python -m ferromongo.journal FILE --unfinished       those whose outcome is not known
    python -m ferromongo.journal FILE --json             one JSON document in each line
    python -m ferromongo.journal recover FILE --uri URI  ask the server how those ended

The first three may be used while another process writes the file, `recover` may not. It exits with
1 if the outcome of a transaction is still unknown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from bson.json_util import RELAXED_JSON_OPTIONS, dumps
from pymongo.errors import PyMongoError

from ferromongo.synchronous.mongo_client import MongoClient
from ferromongo.transaction_log import RecoveryReport, TransactionEntry, TransactionLog


def main(arguments: Sequence[str]) -> int:
    try:
        if arguments and arguments[0] == "recover":
            return _recover(arguments[1:])
        return _print(arguments)
    except BrokenPipeError:  # of `| head`
        sys.stderr.close()
        return 0
    except (OSError, PyMongoError) as error:
        print(error, file=sys.stderr)
        return 2


def _print(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ferromongo.journal",
        description="Print a transaction log. `recover FILE --uri URI` finds out outcomes.",
    )
    parser.add_argument("file")
    parser.add_argument("--unfinished", action="store_true", help="only those in doubt")
    parser.add_argument("--json", action="store_true", help="a document in each line, with bodies")
    given = parser.parse_args(arguments)
    entries = TransactionLog.read(given.file)
    if given.unfinished:
        entries = [entry for entry in entries if entry.is_unfinished]
    if given.json:
        for entry in entries:
            print(_json(entry.to_dict()))
        return 0
    _print_table([_row(entry) for entry in entries])
    count = len(entries)
    print(f"{count} transaction{'' if count == 1 else 's'}")
    return 0


def _recover(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m ferromongo.journal recover",
        description="Ask the server how the transactions ended whose outcome is not known.",
    )
    parser.add_argument("file")
    parser.add_argument("--uri", required=True, help="of the deployment that they ran on")
    parser.add_argument(
        "--replay",
        action="store_true",
        help="make the writes again of those that were not committed (needs a full capture)",
    )
    parser.add_argument("--json", action="store_true", help="a document in each line")
    given = parser.parse_args(arguments)
    with TransactionLog(given.file) as log, MongoClient[dict[str, Any]](given.uri) as client:
        report = client.recover_transactions(log, replay=True if given.replay else None)
    if given.json:
        for found in report:
            error = None if found.error is None else found.error.to_dict()
            replay_error = None if found.replay_error is None else str(found.replay_error)
            outcome = {"outcome": found.outcome, "error": error, "replayed": found.replayed}
            print(_json({**found.entry.to_dict(), **outcome, "replay_error": replay_error}))
    else:
        _print_report(report)
    return 1 if report.unknown else 0


def _print_report(report: RecoveryReport) -> None:
    _print_table(
        [
            {
                **_row(found.entry),
                "outcome": found.outcome + (", replayed" if found.replayed else ""),
                "error": _shortened(str(found.replay_error or found.error or "")),
            }
            for found in report
        ]
    )
    print(repr(report).strip("<>"))


def _row(entry: TransactionEntry) -> dict[str, str]:
    duration = "" if entry.duration is None else f"{entry.duration.total_seconds() * 1000:.0f}"
    return {
        "started": f"{entry.started:%Y-%m-%d %H:%M:%S}",
        "session": f"{entry.session_id}",
        "number": f"{entry.number}",
        "outcome": entry.outcome or entry.state,
        "ms": duration,
        "statements": entry.summary,
        "error": "" if entry.error is None else _shortened(str(entry.error)),
    }


def _print_table(rows: list[dict[str, str]]) -> None:
    if not rows:
        return
    shown = [name for name in rows[0] if any(row[name] for row in rows)]
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in shown}
    print(_line((name, widths[name]) for name in shown))
    for row in rows:
        print(_line((row[name], widths[name]) for name in shown))


def _line(cells: Iterable[tuple[str, int]]) -> str:
    # No terminal is to act on what a server or a program has written into a message.
    return "  ".join(_printable(text).ljust(width) for text, width in cells).rstrip()


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_OF_AN_ERROR else text[: MOST_OF_AN_ERROR - 3] + "..."


def _printable(text: str) -> str:
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text
    )


def _json(document: dict[str, Any]) -> str:
    document["session_id"] = str(document["session_id"])
    return dumps(document, json_options=RELAXED_JSON_OPTIONS)


MOST_OF_AN_ERROR = 120  # --json has all of it

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
