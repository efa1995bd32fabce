"""`atomic` of the client in Django's settings, used as `django.db.transaction.atomic` is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from asgiref.sync import iscoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from pymongo.errors import InvalidOperation

from ferromongo._calls.atomic import atomic_options, check_function
from ferromongo._calls.atomic_arguments import AtomicArguments
from ferromongo._calls.bases import ClientBase
from ferromongo.asynchronous.client_session import AsyncClientSession
from ferromongo.synchronous.client_session import ClientSession
from ferromongo.transaction import AsyncAtomic, Atomic
from ferromongo.transaction import atomic as atomic_of_client

_T = TypeVar("_T")
_P = ParamSpec("_P")


@overload
def atomic(function: Callable[_P, _T], /) -> Callable[_P, _T]: ...
@overload
def atomic(**options: Unpack[AtomicArguments]) -> AtomicOfSettings: ...
def atomic(function: Any = None, /, **options: Any) -> Any:
    """`ferromongo.transaction.atomic` of the client that the setting FERROMONGO_CLIENT names.

    It is written `@atomic`, `@atomic(...)`, `with atomic():`, and with an AsyncMongoClient
    `async with atomic():`. The options are the same.

    In a request that has a transaction it joins that one, so the decorated function is not run
    again. `@non_atomic_requests` above it makes it a transaction of its own, which is.
    """
    block = AtomicOfSettings(options)
    return block if function is None else block(function)


class AtomicOfSettings:
    """A block, or the calls of a function, as a transaction; made by `atomic()`."""

    def __init__(self, options: Any) -> None:
        atomic_options(**options)
        self._options = options
        self._block: Any = None

    def __call__(self, function: Callable[_P, _T]) -> Callable[_P, _T]:
        """The function, each call of which is a transaction."""
        is_async = iscoroutinefunction(function)
        check_function(function, is_sync=not is_async, decorated=True)

        # The client is looked up when the function is called: views are imported early.
        def call(*args: Any, **kwargs: Any) -> Any:
            block = atomic_of_client(client_of_settings(), **self._options)
            return block(function)(*args, **kwargs)

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            return await call(*args, **kwargs)

        wrapper: Any = functools.wraps(function)(call_async if is_async else call)
        return wrapper  # type: ignore[no-any-return]

    def __enter__(self) -> ClientSession:
        block: Atomic = self._made()
        session = block.__enter__()
        self._block = block
        return session

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        block, self._block = self._block, None
        block.__exit__(exc_type, exc_val, exc_tb)

    async def __aenter__(self) -> AsyncClientSession:
        block: AsyncAtomic = self._made()
        session = await block.__aenter__()
        self._block = block
        return session

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        block, self._block = self._block, None
        await block.__aexit__(exc_type, exc_val, exc_tb)

    def _made(self) -> Any:
        if self._block is not None:
            raise InvalidOperation("this atomic() block is in use: call atomic() for another one")
        return atomic_of_client(client_of_settings(), **self._options)


def client_of_settings(request: Any = None) -> Any:
    """What FERROMONGO_CLIENT names; `request` is for a function."""
    named = getattr(settings, "FERROMONGO_CLIENT", None)
    if named is None:
        raise ImproperlyConfigured(
            "set FERROMONGO_CLIENT to a client, or to the dotted path of one, or of a function of "
            "the request that returns it"
        )
    found = import_string(named) if isinstance(named, str) else named
    return found(request) if callable(found) and not isinstance(found, ClientBase) else found
