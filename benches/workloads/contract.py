"""What a workload is: items to work through, and one body per way of waiting.

Bodies are written against PyMongo's API with `peer.database` and `peer.transaction()`.
Everything else here runs unmeasured, around the bodies, with a control client.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    operations: int  # in one round
    items: Callable[[int], Any]  # operations -> what the body is handed
    expected: Callable[[Any], dict]  # items -> the answer that is right
    sync: Callable[[Any, Any], Any] | None = None  # (peer, items) -> answer
    asynchronous: Callable[[Any, Any], Any] | None = None
    prepare: Callable[[Any], None] = lambda database: None  # once, before all
    reset: Callable[[Any], None] = lambda database: None  # before each measurement
    # Writes are judged by what the server holds afterwards, so this may replace the answer.
    outcome: Callable[[Any, Any], dict] = lambda database, answer: answer
    uri_options: dict = field(default_factory=dict)  # of the peers' connections
    delay: float = 0.0  # seconds added to every reply, by a proxy
    by_name_only: bool = False  # not part of the usual table
    tls: bool = False  # on a server that speaks nothing else
    listened: bool = False  # by clients with a listener of commands
    log: str | None = None  # by clients with a transaction log: "memory" or "file"
    peak_memory: bool = False  # big enough that its peak says something

    def body(self, kind):
        return self.sync if kind == "sync" else self.asynchronous
