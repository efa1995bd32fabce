"""A transaction of ten operations and its commit: an order of three articles is booked."""

from benches.workloads.contract import Workload

ARTICLES = ("tea", "cup", "pot")
START = 1_000_000


def sync(peer, items):
    stock, lines, totals = (peer.database[name] for name in ("stock", "lines", "totals"))
    for number in items:
        with peer.transaction() as session:
            total = 0
            for article in ARTICLES:
                total += stock.find_one({"_id": article}, session=session)["price"]
                stock.update_one({"_id": article}, {"$inc": {"n": -1}}, session=session)
                lines.insert_one({"_id": f"{number}-{article}"}, session=session)
            totals.update_one({"_id": "all"}, {"$inc": {"total": total}}, session=session)


async def asynchronous(peer, items):
    stock, lines, totals = (peer.database[name] for name in ("stock", "lines", "totals"))
    for number in items:
        async with peer.transaction() as session:
            total = 0
            for article in ARTICLES:
                total += (await stock.find_one({"_id": article}, session=session))["price"]
                await stock.update_one({"_id": article}, {"$inc": {"n": -1}}, session=session)
                await lines.insert_one({"_id": f"{number}-{article}"}, session=session)
            await totals.update_one({"_id": "all"}, {"$inc": {"total": total}}, session=session)


def reset(database):
    for name in ("stock", "lines", "totals"):
        database[name].delete_many({})
    database["stock"].insert_many(
        [{"_id": article, "n": START, "price": len(article)} for article in ARTICLES]
    )
    database["totals"].insert_one({"_id": "all", "total": 0})


def booked(database, answer):
    return {
        "lines": database["lines"].count_documents({}),
        "total": database["totals"].find_one()["total"],
        "stock": {one["_id"]: one["n"] for one in database["stock"].find()},
    }


def booked_when_right(items):
    return {
        "lines": len(ARTICLES) * len(items),
        "total": sum(map(len, ARTICLES)) * len(items),
        "stock": {article: START - len(items) for article in ARTICLES},
    }


WORKLOAD = Workload(
    name="transaction_of_ten",
    title="transaction, 10 operations and commit",
    operations=60,
    items=range,
    expected=booked_when_right,
    sync=sync,
    asynchronous=asynchronous,
    reset=reset,
    outcome=booked,
)
