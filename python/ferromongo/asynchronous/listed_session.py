"""AsyncListedSession: what `list_sessions` answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pymongo.client_session_shared import SessionOptions

from ferromongo.asynchronous.client_session import AsyncClientSession

if TYPE_CHECKING:
    from ferromongo.asynchronous.mongo_client import AsyncMongoClient


class AsyncListedSession(AsyncClientSession):
    """A session beside one that the server knows, which `listed` tells about.

    It can be used like any other, and needs no end if it was not. It has an id of its own: a
    transaction under the listed one would abort whatever its owner is doing there.
    """

    def __init__(self, client: AsyncMongoClient[Any], listed: Mapping[str, Any]) -> None:
        """Made by `list_sessions()`."""
        super().__init__(client, SessionOptions())
        self._listed = listed

    @property
    def listed(self) -> Mapping[str, Any]:
        """The server's entry: `_id` (the session's `id` and a hash of its user), `lastUse`."""
        return self._listed
