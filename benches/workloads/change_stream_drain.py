"""50,000 changes that wait in the oplog, read through a change stream."""

import inspect

from bson import Timestamp

from benches.workloads.contract import Workload

COUNT = 50_000


def sync(peer, items):
    with peer.database["changed"].watch(start_at_operation_time=items[0]) as stream:
        for _ in range(COUNT):
            change = stream.next()
    return {"last": change["documentKey"]["_id"]}


async def asynchronous(peer, items):
    stream = peer.database["changed"].watch(start_at_operation_time=items[0])
    async with await stream if inspect.isawaitable(stream) else stream as stream:
        for _ in range(COUNT):
            change = await stream.next()
    return {"last": change["documentKey"]["_id"]}


def prepare(database):
    """Also notes when the changes begin; the oplog of the benches' server has room for them."""
    database["changed"].drop()
    began = database.command("ping")["operationTime"]
    database["changed"].insert_many([{"_id": number, "x": number} for number in range(COUNT)])
    BEGAN.append(Timestamp(began.time, began.inc + 1))


BEGAN = []

WORKLOAD = Workload(
    name="change_stream_drain",
    title="read 50,000 waiting changes",
    operations=1,
    items=lambda operations: BEGAN[-1:],
    expected=lambda items: {"last": COUNT - 1},
    sync=sync,
    asynchronous=asynchronous,
    prepare=prepare,
)
