"""How objects look in notebooks: small tables of HTML.

Nothing is sent to a server for them. All text is escaped and cut, and lists are bounded: documents
are other people's data.
"""

from __future__ import annotations

import html
import reprlib
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from ferromongo._calls.bases import ClientBase, SessionBase
from ferromongo._calls.client import topology_description
from ferromongo._calls.find import FindQuery

if TYPE_CHECKING:
    from ferromongo._calls.recovery import RecoveryReport
    from ferromongo._calls.transaction_log import TransactionLog


def client(client: ClientBase) -> str:
    """The servers, and their states as they are known."""
    known = topology_description(client)
    servers = sorted(known.server_descriptions().values(), key=lambda server: str(server.address))
    rows = []
    for server in islice(servers, MAX_ROWS):
        time = server.round_trip_time
        rows.append(
            {
                "server": address(server.address),
                "type": server.server_type_name,
                "round trip": "" if time is None else f"{time * 1000:.1f} ms",
                "error": "" if server.error is None else str(server.error),
            }
        )
    state = "closed" if client._core.closed else known.topology_type_name
    name = f" {known.replica_set_name}" if known.replica_set_name else ""
    heading = f"{type(client).__name__}: {state}{name}"
    columns = [
        name for name in ("server", "type", "round trip", "error") if any(row[name] for row in rows)
    ]
    return _block(heading, _grid(columns, rows, len(servers)))


def session(session: SessionBase) -> str:
    core = session._core
    state = "in a transaction" if core.in_transaction else "no transaction"
    rows: list[tuple[str, Any]] = [("state", "ended" if core.has_ended else state)]
    for option in ("causal_consistency", "snapshot"):
        if value := getattr(session._options, option):
            rows.append((option.replace("_", " "), value))
    if core.operation_time is not None:
        rows.append(("operation time", core.operation_time))
    return _block(type(session).__name__, _pairs(rows))


def cursor(cursor: Any, namespace: str | None, query: FindQuery | None) -> str:
    """Its query, how far it is, and the next documents if they are here."""
    rows = [] if query is None else list(_asked(query))
    rows.append(("state", _state(cursor)))
    if cursor.retrieved:
        rows.append(("received", cursor.retrieved))
    heading = type(cursor).__name__ + (f" of {namespace}" if namespace else "")
    try:
        ahead = cursor._peek(MAX_ROWS + 1)
    except Exception:  # of a decoder of the user's; iterating raises it
        ahead = []
    shown = documents(ahead) if ahead else ""
    return _block(heading, _pairs(rows) + shown)


def transaction_log(log: TransactionLog) -> str:
    """Its newest transactions."""
    entries = log.entries()
    rows = [
        {
            "started": f"{entry.started:%Y-%m-%d %H:%M:%S}",
            "outcome": entry.outcome or entry.state,
            "statements": entry.summary,
            "ms": "" if entry.duration is None else f"{entry.duration.total_seconds() * 1e3:.0f}",
            "error": "" if entry.error is None else str(entry.error),
        }
        for entry in entries[: -MAX_ROWS - 1 : -1]
    ]
    place = "" if log.path is None else f" {log.path}"
    heading = f"TransactionLog{place}: {len(entries)} transactions"
    return _block(heading, _grid(list(rows[0]) if rows else [], rows, len(entries)))


def recovery(report: RecoveryReport) -> str:
    rows = [
        {
            "started": f"{found.entry.started:%Y-%m-%d %H:%M:%S}",
            "outcome": found.outcome,
            "replayed": "yes" if found.replayed else "",
            "error": str(found.replay_error or found.error or ""),
        }
        for found in islice(report, MAX_ROWS)
    ]
    heading = repr(report).strip("<>")
    return _block(heading, _grid(list(rows[0]) if rows else [], rows, len(report)))


def result(result: Any) -> str:
    """A result of a write: PyMongo's classes."""
    rows: list[tuple[str, Any]] = []
    for name in RESULT_FIELDS:
        try:
            value = getattr(result, name)
        except Exception:  # no such field, or of an unacknowledged write
            continue
        if value is not None and value != {}:
            rows.append((name.replace("_", " "), value))
    return _block(type(result).__name__, _pairs(rows))


def documents(documents: Iterable[Any]) -> str:
    """A table with a column for each of their fields."""
    first = list(islice(documents, MAX_ROWS + 1))
    rows = [
        dict(islice(document.items(), MAX_COLUMNS + 1))
        if isinstance(document, Mapping)
        else {"": document}
        for document in first
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    shown = [{name: text(value) for name, value in row.items()} for row in rows[:MAX_ROWS]]
    return _grid(columns, shown, len(rows), "next documents")


def text(value: Any) -> str:
    """A value as Python writes it, cut before it is written: it may have megabytes."""
    if isinstance(value, (bytes, bytearray, memoryview)) and len(value) > MAX_TEXT:
        return f"{bytes(value[:20])!r}{ELLIPSIS} ({len(value)} bytes)"
    return _cut(_SHORT.repr(value))


def address(address: tuple[str, int | None]) -> str:
    host, port = address
    return host if port is None else f"{host}:{port}"


def _asked(query: FindQuery) -> Iterable[tuple[str, Any]]:
    yield "filter", query.filter
    for name in ("projection", "sort", "skip", "limit", "hint"):
        if value := getattr(query, name):
            yield name, value


def _state(cursor: Any) -> str:
    if not cursor._started():
        return "not sent"
    if not cursor.alive:
        return "at its end"
    where = cursor.address
    return f"open on {address(where)}" if cursor.cursor_id and where else "to be read"


def _pairs(rows: Iterable[tuple[str, Any]]) -> str:
    lines = "".join(
        _row([_cell("th", name), _cell("td", value if isinstance(value, str) else text(value))])
        for name, value in rows
    )
    return f"<table>{lines}</table>"


def _grid(
    columns: list[str], rows: list[dict[str, str]], count: int, caption: str | None = None
) -> str:
    shown = columns[:MAX_COLUMNS]
    head = [_cell("th", str(name)) for name in shown]
    if len(columns) > MAX_COLUMNS:
        head.append(_cell("th", ELLIPSIS))
    lines = [_row(_cell("td", row.get(name, "")) for name in shown) for row in rows]
    if count > len(rows):
        lines.append(_row([_cell("td", ELLIPSIS)]))
    top = "" if caption is None else f"<caption>{caption}</caption>"
    return f"<table>{top}<thead>{_row(head)}</thead><tbody>{''.join(lines)}</tbody></table>"


def _row(cells: Iterable[str]) -> str:
    return f"<tr>{''.join(cells)}</tr>"


def _cell(tag: str, text: str) -> str:
    # Jupyter sets tables of text as it sets those of numbers.
    return f'<{tag} style="text-align: left">{_escaped(text)}</{tag}>'


def _block(heading: str, body: str) -> str:
    return f"<div><b>{_escaped(heading)}</b>{body}</div>"


def _escaped(text: str) -> str:
    # Lone surrogates, which lenient decoding can make, cannot be sent to the browser.
    return html.escape(_cut(text).encode("utf-8", "replace").decode())


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + ELLIPSIS


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxlong = self.maxother = MAX_TEXT
        self.maxdict = self.maxlist = self.maxtuple = 8

    def repr_bytes(self, value: bytes, level: int) -> str:
        return repr(bytes(value[:20])) + (ELLIPSIS if len(value) > 20 else "")

    repr_Binary = repr_bytes

    def repr_RawBSONDocument(self, value: Any, level: int) -> str:
        return self.repr_dict(dict(value), level)

    def repr_dict(self, value: dict[Any, Any], level: int) -> str:
        # In the order of the fields, which reprlib would sort.
        if level <= 0 and value:
            return "{...}"
        shown = [
            f"{self.repr1(name, level - 1)}: {self.repr1(field, level - 1)}"
            for name, field in islice(value.items(), self.maxdict)
        ]
        if len(value) > self.maxdict:
            shown.append("...")
        return "{" + ", ".join(shown) + "}"


MAX_ROWS = 10
MAX_COLUMNS = 12
MAX_TEXT = 200
ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"
_SHORT = _Short()
RESULT_CLASSES = (
    "BulkWriteResult",
    "ClientBulkWriteResult",
    "DeleteResult",
    "InsertManyResult",
    "InsertOneResult",
    "UpdateResult",
)
RESULT_FIELDS = (
    "acknowledged",
    "inserted_id",
    "inserted_ids",
    "inserted_count",
    "matched_count",
    "modified_count",
    "deleted_count",
    "upserted_count",
    "upserted_id",
    "upserted_ids",
)
