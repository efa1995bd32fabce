"""AgnosticClientEncryption: explicit encryption by PyMongo, with the keys read through ferromongo.

ferromongo has no encryption of its own. PyMongo's `ClientEncryption` blocks, and so its methods run
in threads, as with Motor; the client with the key vault is the Motor client's delegate.
"""

from __future__ import annotations

import contextvars
from asyncio import Future
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from bson.binary import Binary
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo.encryption import ClientEncryption
from pymongo.encryption_options import RangeOpts, StringOpts
from pymongo.encryption_shared import RewrapManyDataKeyResult
from pymongo.results import DeleteResult

from ferromongo.motor.core.base import AgnosticBase, OnOwnLoop
from ferromongo.motor.core.futures import loop_of

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.motor.core.client import AgnosticClient
    from ferromongo.motor.core.collection import AgnosticCollection
    from ferromongo.motor.core.cursor import AgnosticCursor
    from ferromongo.motor.core.database import AgnosticDatabase


class AgnosticClientEncryption(OnOwnLoop, AgnosticBase):
    """Explicit client-side field level encryption; needs the package `pymongocrypt`."""

    delegate: ClientEncryption[Any]

    def __init__(
        self,
        kms_providers: Mapping[str, Any],
        key_vault_namespace: str,
        key_vault_client: AgnosticClient[Any],
        codec_options: CodecOptions[Any],
        io_loop: Any = None,
        kms_tls_options: Mapping[str, Any] | None = None,
    ) -> None:
        """Takes the arguments of PyMongo's `ClientEncryption`, and `io_loop`, an event loop."""
        if io_loop:
            self._framework.check_event_loop(io_loop)
        self._io_loop = io_loop or None
        client: Any = key_vault_client.delegate
        super().__init__(
            ClientEncryption(
                kms_providers, key_vault_namespace, client, codec_options, kms_tls_options
            )
        )
        self._threads = ThreadPoolExecutor(thread_name_prefix="ferromongo-encryption")

    def _in_thread(self, method: Callable[..., Any], *args: Any, **kwargs: Any) -> Future[Any]:
        call = partial(contextvars.copy_context().run, method, *args, **kwargs)
        return loop_of(self).run_in_executor(self._threads, call)

    def create_data_key(
        self,
        kms_provider: str,
        master_key: Mapping[str, Any] | None = None,
        key_alt_names: Sequence[str] | None = None,
        key_material: bytes | None = None,
    ) -> Future[Binary]:
        """Create a data key and store it in the key vault; its `_id`."""
        method = self.delegate.create_data_key
        return self._in_thread(method, kms_provider, master_key, key_alt_names, key_material)

    def encrypt(
        self,
        value: Any,
        algorithm: str,
        key_id: Any | None = None,
        key_alt_name: str | None = None,
        query_type: str | None = None,
        contention_factor: int | None = None,
        range_opts: RangeOpts | None = None,
        string_opts: StringOpts | None = None,
    ) -> Future[Binary]:
        """Encrypt a value with a key and an algorithm."""
        return self._in_thread(
            self.delegate.encrypt,
            value,
            algorithm,
            key_id,
            key_alt_name,
            query_type,
            contention_factor,
            range_opts,
            string_opts,
        )

    def encrypt_expression(
        self,
        expression: Mapping[str, Any],
        algorithm: str,
        key_id: Any | None = None,
        key_alt_name: str | None = None,
        query_type: str | None = None,
        contention_factor: int | None = None,
        range_opts: RangeOpts | None = None,
    ) -> Future[RawBSONDocument]:
        """Encrypt the values in a query expression."""
        return self._in_thread(
            self.delegate.encrypt_expression,
            expression,
            algorithm,
            key_id,
            key_alt_name,
            query_type,
            contention_factor,
            range_opts,
        )

    def decrypt(self, value: Binary) -> Future[Any]:
        """Decrypt an encrypted value."""
        return self._in_thread(self.delegate.decrypt, value)

    def rewrap_many_data_key(
        self,
        filter: Mapping[str, Any],
        provider: str | None = None,
        master_key: Mapping[str, Any] | None = None,
    ) -> Future[RewrapManyDataKeyResult]:
        """Encrypt the data keys that match with another master key."""
        method = self.delegate.rewrap_many_data_key
        return self._in_thread(method, filter, provider, master_key)

    def get_key(self, id: Binary) -> Future[RawBSONDocument | None]:
        """The data key with this `_id`, or None."""
        return self._in_thread(self.delegate.get_key, id)

    def delete_key(self, id: Binary) -> Future[DeleteResult]:
        """Delete the data key with this `_id`."""
        return self._in_thread(self.delegate.delete_key, id)

    def add_key_alt_name(self, id: Binary, key_alt_name: str) -> Future[Any]:
        """Give a data key a further name; the key as it was before."""
        return self._in_thread(self.delegate.add_key_alt_name, id, key_alt_name)

    def get_key_by_alt_name(self, key_alt_name: str) -> Future[RawBSONDocument | None]:
        """The data key with this name, or None."""
        return self._in_thread(self.delegate.get_key_by_alt_name, key_alt_name)

    def remove_key_alt_name(self, id: Binary, key_alt_name: str) -> Future[RawBSONDocument | None]:
        """Take a name from a data key; the key as it was before."""
        return self._in_thread(self.delegate.remove_key_alt_name, id, key_alt_name)

    async def get_keys(self) -> AgnosticCursor[RawBSONDocument]:
        """A cursor over all data keys."""
        cursor: Any = self.delegate.get_keys()
        return self._framework.cursor(cursor, self)

    async def create_encrypted_collection(
        self,
        database: AgnosticDatabase[Any],
        name: str,
        encrypted_fields: Mapping[str, Any],
        kms_provider: str | None = None,
        master_key: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tuple[AgnosticCollection[Any], Mapping[str, Any]]:
        """Create a collection with encrypted fields, and the data keys that they lack."""
        collection, fields = await self._in_thread(
            self.delegate.create_encrypted_collection,
            database=database.delegate,
            name=name,
            encrypted_fields=encrypted_fields,
            kms_provider=kms_provider,
            master_key=master_key,
            **kwargs,
        )
        return self._framework.collection(database, collection.name, _delegate=collection), fields

    def close(self) -> Future[None]:
        """Release what encryption needs; the client stays open."""
        done = self._in_thread(self.delegate.close)
        self._threads.shutdown(wait=False)
        return done

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()

    def __enter__(self) -> NoReturn:
        raise RuntimeError(f'Use {type(self).__name__} in "async with", not "with"')

    def __exit__(self, *error: object) -> None:
        pass
