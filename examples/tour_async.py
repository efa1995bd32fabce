"""The tour with asyncio, and a money transfer that is all or nothing.

Run it as `python examples/tour_async.py`. It starts a real three-member replica set of its
own, or uses the one FERROMONGO_TEST_URI names. Change the import of `AsyncMongoClient` to
pymongo's and it runs just the same.
"""

import asyncio
import os
from contextlib import contextmanager

from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.read_concern import ReadConcern

from ferromongo import (
    ASCENDING,
    DESCENDING,
    AsyncMongoClient,
    DeleteMany,
    DeleteOne,
    InsertOne,
    ReadPreference,
    ReplaceOne,
    UpdateMany,
    UpdateOne,
)
from ferromongo.embedded import ReplicaSet


async def main(uri):
    async with AsyncMongoClient(uri) as client:
        step("Connect")
        version = (await client.server_info())["version"]
        print(f"server {version}, members {sorted(client.nodes)}")
        await client.drop_database("tour_async")
        database = client["tour_async"]
        await write_and_read(database["planets"])
        await duplicate_key(database["planets"])
        await bulk_write(database["stars"])
        await aggregate(database["stars"])
        await causal_consistency(client, database["planets"])
        await money_transfers(client, database["accounts"])
        await transfers_at_once(client, database["accounts"])
        await client.drop_database("tour_async")
    step("Shown: reads and writes, errors, bulk writes, aggregation, sessions, transactions")


async def write_and_read(planets):
    step("insert_one, insert_many")
    earth = await planets.insert_one({"name": "Earth", "moons": 1, "radius_km": 6371})
    print("inserted", earth.inserted_id)
    many = await planets.insert_many(
        [
            {"name": "Mercury", "moons": 0, "radius_km": 2440},
            {"name": "Mars", "moons": 2, "radius_km": 3390},
            {"name": "Neptune", "moons": 16, "radius_km": 24622},
        ]
    )
    print("inserted", len(many.inserted_ids), "more")

    step("find_one")
    print(await planets.find_one({"name": "Earth"}, {"_id": 0}))

    step("find with a projection, sort and limit, to_list")
    largest = planets.find({}, {"_id": 0, "name": 1}).sort("radius_km", DESCENDING).limit(2)
    names = [planet["name"] for planet in await largest.to_list()]
    print(names)
    expect(names, ["Neptune", "Earth"])

    step("Iterate over a cursor")
    async for planet in planets.find({"moons": {"$gt": 0}}).sort("moons", ASCENDING):
        print(f"  {planet['name']}: {planet['moons']} moons")

    step("update_one, update_many, delete_one, count_documents")
    one = await planets.update_one({"name": "Earth"}, {"$set": {"life": True}})
    every = await planets.update_many({}, {"$inc": {"visits": 1}})
    print("updated", one.modified_count, "then", every.modified_count)
    print("deleted", (await planets.delete_one({"name": "Mercury"})).deleted_count)
    print("left", await planets.count_documents({}))
    expect(await planets.count_documents({"visits": 1}), 3)

    step("Many finds at once, on one event loop")
    found = await asyncio.gather(*(planets.find_one({"name": "Mars"}) for _ in range(20)))
    print(len(found), "answers")
    expect({planet["moons"] for planet in found}, {2})


async def duplicate_key(planets):
    step("A unique index refuses a second Earth")
    await planets.create_index("name", unique=True)
    try:
        await planets.insert_one({"name": "Earth"})
    except DuplicateKeyError as error:
        print("DuplicateKeyError, code", error.code, "on", error.details["keyValue"])
    else:
        raise AssertionError("a duplicate was accepted")


async def bulk_write(stars):
    step("bulk_write: all kinds of writes with one call")
    done = await stars.bulk_write(
        [
            InsertOne({"_id": "Sirius", "colour": "white", "light_years": 8.6}),
            InsertOne({"_id": "Procyon", "colour": "white", "light_years": 11.5}),
            InsertOne({"_id": "Aldebaran", "colour": "red", "light_years": 65}),
            UpdateOne({"_id": "Betelgeuse"}, {"$set": {"colour": "red"}}, upsert=True),
            UpdateMany({"colour": "red"}, {"$set": {"giant": True}}),
            ReplaceOne({"_id": "Procyon"}, {"colour": "yellow", "light_years": 11.4}),
            DeleteOne({"_id": "Sirius"}),
            DeleteMany({"colour": "blue"}),
        ]
    )
    print("inserted", done.inserted_count, "upserted", done.upserted_ids)
    print("modified", done.modified_count, "deleted", done.deleted_count)
    expect(done.modified_count, 3)

    step("A BulkWriteError tells which writes failed, and what was done")
    try:
        await stars.bulk_write(
            [
                InsertOne({"_id": "Aldebaran"}),
                InsertOne({"_id": "Vega", "colour": "white", "light_years": 25}),
                UpdateOne({"_id": "Procyon"}, {"$inc": {"colour": 1}}),
                UpdateOne({"_id": "Betelgeuse"}, {"$set": {"light_years": 548}}),
            ],
            ordered=False,
        )
    except BulkWriteError as error:
        for failure in error.details["writeErrors"]:
            print(f"  write {failure['index']} failed with code {failure['code']}")
        print("inserted", error.details["nInserted"], "modified", error.details["nModified"])
        expect([failure["index"] for failure in error.details["writeErrors"]], [0, 2])
    else:
        raise AssertionError("two writes cannot have succeeded")


async def aggregate(stars):
    step("aggregate: the nearest star of each colour, computed on the server")
    pipeline = [
        {"$sort": {"light_years": ASCENDING}},
        {"$group": {"_id": "$colour", "nearest": {"$first": "$_id"}, "stars": {"$count": {}}}},
        {"$sort": {"_id": ASCENDING}},
    ]
    rows = await (await stars.aggregate(pipeline)).to_list()
    for row in rows:
        print(f"  {row['_id']}: {row['nearest']}, of {row['stars']}")
    expect([row["nearest"] for row in rows], ["Aldebaran", "Vega", "Procyon"])


async def causal_consistency(client, planets):
    step("A causally consistent session reads its own write, even from a secondary")
    async with client.start_session(causal_consistency=True) as session:
        await planets.update_one(
            {"name": "Mars"}, {"$set": {"rover": "Perseverance"}}, session=session
        )
        replica = planets.with_options(
            read_preference=ReadPreference.SECONDARY_PREFERRED, read_concern=ReadConcern("majority")
        )
        mars = await replica.find_one({"name": "Mars"}, session=session)
    print("Mars has", mars["rover"])


async def money_transfers(client, accounts):
    step("Accounts")
    await accounts.insert_many([{"name": "Ada", "balance": 1000}, {"name": "Ben", "balance": 200}])
    print(await balances(accounts))

    step("Ada sends Ben 100: both updates are committed")
    expect(await transfer_money(client, accounts, "Ada", "Ben", 100), True)
    await show_and_expect(accounts, {"Ada": 900, "Ben": 300})

    step("Ben sends Ada 2000: his balance is too small")
    expect(await transfer_money(client, accounts, "Ben", "Ada", 2000), False)
    await show_and_expect(accounts, {"Ada": 900, "Ben": 300})

    step("Ada sends Nobody 50: withdrawn already, so it must be rolled back")
    expect(await transfer_money(client, accounts, "Ada", "Nobody", 50), False)
    await show_and_expect(accounts, {"Ada": 900, "Ben": 300})


async def transfers_at_once(client, accounts):
    step("Ten transfers at once: with_transaction tries again when two meet")

    async def pay(session):
        await accounts.update_one({"name": "Ada"}, {"$inc": {"balance": -10}}, session=session)
        await accounts.update_one({"name": "Ben"}, {"$inc": {"balance": 10}}, session=session)

    async def one_transfer():
        async with client.start_session() as session:
            await session.with_transaction(pay)

    await asyncio.gather(*(one_transfer() for _ in range(10)))
    await show_and_expect(accounts, {"Ada": 800, "Ben": 400})


class TransferRefused(Exception):
    pass


async def transfer_money(client, accounts, sender, receiver, amount):
    """Move `amount` and say whether it was moved; if not, nothing has changed."""
    # The error is caught around the transaction: caught inside, the block would end well
    # and commit what had been done so far.
    try:
        async with client.start_session() as session, await session.start_transaction():
            withdrawn = await accounts.update_one(
                {"name": sender, "balance": {"$gte": amount}},
                {"$inc": {"balance": -amount}},
                session=session,
            )
            if withdrawn.matched_count == 0:
                raise TransferRefused(f"{sender} does not exist or has less than {amount}")
            print(f"  withdrew {amount} from {sender}")
            deposited = await accounts.update_one(
                {"name": receiver}, {"$inc": {"balance": amount}}, session=session
            )
            if deposited.matched_count == 0:
                raise TransferRefused(f"{receiver} does not exist")
            print(f"  paid {amount} to {receiver}")
    except TransferRefused as reason:
        print(f"  rolled back: {reason}")
        return False
    print("  committed")
    return True


async def balances(accounts):
    return {account["name"]: account["balance"] async for account in accounts.find()}


async def show_and_expect(accounts, right):
    found = await balances(accounts)
    print("balances now", found)
    expect(found, right)


def expect(found, right):
    if found != right:
        raise AssertionError(f"found {found!r}, expected {right!r}")


def step(title):
    print(f"\n== {title}")


@contextmanager
def server_uri():
    if uri := os.environ.get("FERROMONGO_TEST_URI"):
        yield uri
        return
    print("starting a three-member replica set ...")
    with ReplicaSet(members=3) as replica_set:
        yield replica_set.uri


if __name__ == "__main__":
    with server_uri() as uri:
        asyncio.run(main(uri))
