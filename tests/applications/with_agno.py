"""agno: sessions of agents, kept through PyMongo, its asynchronous API and Motor."""

import asyncio
import sys

from agno.db.base import SessionType
from agno.db.mongo import AsyncMongoDb, MongoDb
from agno.session import AgentSession
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import AsyncMongoClient


def session(number: int) -> AgentSession:
    return AgentSession(
        session_id=f"s{number}",
        agent_id="agent",
        user_id="Ada",
        created_at=number,
        updated_at=number,
    )


def synchronously(uri: str) -> None:
    kept = MongoDb(db_url=uri, db_name="agno")
    for number in range(3):
        kept.upsert_session(session(number))
    sessions = kept.get_sessions(
        SessionType.AGENT, user_id="Ada", sort_by="created_at", sort_order="asc"
    )
    print([each.session_id for each in sessions])
    assert [each.session_id for each in sessions] == ["s0", "s1", "s2"]
    print(kept.rename_session("s1", SessionType.AGENT, "renamed").session_data)
    print(kept.delete_session("s0"), kept.get_session("s0", SessionType.AGENT))
    kept.close()


async def asynchronously(client, name: str) -> None:
    kept = AsyncMongoDb(db_client=client, db_name=name)
    for number in range(3):
        await kept.upsert_session(session(number))
    found = await kept.get_session("s1", SessionType.AGENT)
    print(name, found.agent_id, len(await kept.get_sessions(SessionType.AGENT, user_id="Ada")))
    assert found.created_at == 1
    await kept.delete_sessions(["s0", "s1"])
    print(len(await kept.get_sessions(SessionType.AGENT)))


async def both_clients(uri: str) -> None:
    motor = AsyncIOMotorClient(uri)
    await asynchronously(motor, "agno_motor")
    motor.close()
    async with AsyncMongoClient(uri) as client:
        await asynchronously(client, "agno_async")


def main(uri: str) -> None:
    synchronously(uri)
    asyncio.run(both_clients(uri))


if __name__ == "__main__":
    main(sys.argv[1])
