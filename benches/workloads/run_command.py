"""Ping: the cost of one round trip with next to no BSON."""

from benches.workloads.contract import Workload


def sync(peer, items):
    command = peer.database.command
    for _ in items:
        reply = command({"ping": 1})
    return {"ok": reply["ok"]}


async def asynchronous(peer, items):
    command = peer.database.command
    for _ in items:
        reply = await command({"ping": 1})
    return {"ok": reply["ok"]}


WORKLOAD = Workload(
    name="run_command",
    title="run_command ping",
    operations=1000,
    items=range,
    expected=lambda items: {"ok": 1.0},
    sync=sync,
    asynchronous=asynchronous,
)
