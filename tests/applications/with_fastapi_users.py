"""fastapi-users: registration and login, with users and access tokens in MongoDB through Beanie."""

import asyncio
import sys
import warnings
from typing import Annotated

import httpx
from beanie import Document, PydanticObjectId, init_beanie
from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, schemas
from fastapi_users.authentication import AuthenticationBackend, BearerTransport
from fastapi_users.authentication.strategy.db import DatabaseStrategy
from fastapi_users_db_beanie import BeanieBaseUserDocument, BeanieUserDatabase, ObjectIDIDMixin
from fastapi_users_db_beanie.access_token import BeanieAccessTokenDatabase, BeanieBaseAccessToken
from pymongo import AsyncMongoClient


class User(BeanieBaseUserDocument):
    pass


class AccessToken(BeanieBaseAccessToken, Document):
    pass


class Shown(schemas.BaseUser[PydanticObjectId]):
    pass


class Registration(schemas.BaseUserCreate):
    pass


class UserManager(ObjectIDIDMixin, BaseUserManager[User, PydanticObjectId]):
    pass


async def user_manager():
    yield UserManager(BeanieUserDatabase(User))


def strategy():
    return DatabaseStrategy(BeanieAccessTokenDatabase(AccessToken), lifetime_seconds=3600)


bearer = BearerTransport(tokenUrl="auth/login")
backend = AuthenticationBackend(name="database", transport=bearer, get_strategy=strategy)
users = FastAPIUsers[User, PydanticObjectId](user_manager, [backend])
app = FastAPI()
app.include_router(users.get_auth_router(backend), prefix="/auth")
app.include_router(users.get_register_router(Shown, Registration), prefix="/auth")


@app.get("/me")
async def me(user: Annotated[User, Depends(users.current_user(active=True))]):
    return user.email


async def visit(uri: str) -> None:
    async with AsyncMongoClient(uri) as client:
        await init_beanie(database=client.fastapi_users, document_models=[User, AccessToken])
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as web:
            ada = {"email": "Ada@example.org", "password": "long enough"}
            first = await web.post("/auth/register", json=ada)
            again = await web.post("/auth/register", json=ada | {"email": "ada@example.org"})
            print(first.status_code, first.json()["email"], again.status_code, again.json())
            assert (first.status_code, again.status_code) == (201, 400)

            form = {"username": "ada@EXAMPLE.org", "password": "wrong"}
            print((await web.post("/auth/login", data=form)).json())
            login = await web.post("/auth/login", data=form | {"password": "long enough"})
            header = {"Authorization": f"Bearer {login.json()['access_token']}"}
            print(login.status_code, (await web.get("/me", headers=header)).json())
            print(
                await AccessToken.count(),
                (await web.post("/auth/logout", headers=header)).status_code,
            )
            print(await AccessToken.count(), (await web.get("/me", headers=header)).status_code)
        print(sorted(await client.fastapi_users.User.index_information()))


def main(uri: str) -> None:
    warnings.simplefilter("ignore", DeprecationWarning)
    asyncio.run(visit(uri))


if __name__ == "__main__":
    main(sys.argv[1])
