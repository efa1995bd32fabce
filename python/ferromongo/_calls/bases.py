"""What the twins of a public class share: options, names and the engine's objects behind them.

The attributes start with an underscore because any other name on a client or a database is a
database or a collection. Nothing here does I/O.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, NoReturn

from bson.codec_options import CodecOptions
from pymongo.client_options import ClientOptions
from pymongo.client_session_shared import SessionOptions
from pymongo.errors import InvalidName
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo import _core
from ferromongo._pymongo_internals import ServerMode
from ferromongo.typings import DocumentType

if TYPE_CHECKING:
    from ferromongo._calls.client_settings import ClientSettings
    from ferromongo._calls.listeners import Publisher
    from ferromongo._calls.srv import SeedWatch


class Configured:
    """Anything that carries codec options, a read preference and the two concerns."""

    __iter__ = None
    """Attribute access makes databases and collections; iteration must not try to."""

    def __init__(
        self,
        codec_options: CodecOptions[Any],
        read_preference: ServerMode,
        write_concern: WriteConcern,
        read_concern: ReadConcern,
    ) -> None:
        check_codec_options(codec_options)
        check_read_preference(read_preference)
        if not isinstance(write_concern, WriteConcern):
            raise TypeError(f"write_concern must be a WriteConcern, not {type(write_concern)}")
        if not isinstance(read_concern, ReadConcern):
            raise TypeError(f"read_concern must be a ReadConcern, not {type(read_concern)}")
        self._codec_options = codec_options
        self._read_preference = read_preference
        self._write_concern = write_concern
        self._read_concern = read_concern

    @property
    def codec_options(self) -> CodecOptions[Any]:
        """How documents are converted to and from BSON."""
        return self._codec_options

    @property
    def read_preference(self) -> ServerMode:
        """Which members reads may go to."""
        return self._read_preference

    @property
    def write_concern(self) -> WriteConcern:
        """How many members must confirm a write."""
        return self._write_concern

    @property
    def read_concern(self) -> ReadConcern:
        """How durable the data must be that reads return."""
        return self._read_concern

    def __next__(self) -> NoReturn:
        """Nothing to iterate over: raises TypeError. Documents come from `find()`."""
        raise TypeError(f"{type(self).__name__!r} object is not iterable")

    next = __next__


class ClientBase(Configured):
    """What commands need to know of a client."""

    _core: _core.Client
    _settings: ClientSettings
    _client_options: ClientOptions
    _session_name: str
    _seed_watch: SeedWatch | None = None
    _publisher: Publisher
    _sites_guarded: set[tuple[str, int]]
    """Files and lines whose operations outside of a transaction were reported."""
    _used: bool = False
    """True once the engine may have started: dropping it unclosed is worth a warning then."""

    def _ipython_key_completions_(self) -> list[str]:
        from ferromongo._calls import notebook

        return notebook.database_names(self)

    def _repr_html_(self) -> str:
        from ferromongo._calls import html

        return html.client(self)


class DatabaseBase(Configured):
    """What commands need to know of a database."""

    _client: ClientBase
    _name: str
    _command_scope: _core.Scope | None = None
    _own_scope: _core.Scope | None = None
    _collection_scopes: tuple[_core.Scope, _core.Scope] | None = None

    def __bool__(self) -> NoReturn:
        raise _no_truth_value(self, "database")

    def _ipython_key_completions_(self) -> list[str]:
        from ferromongo._calls import notebook

        return notebook.collection_names(self)


class CollectionBase(Configured, Generic[DocumentType]):
    """What commands need to know of a collection."""

    _database: DatabaseBase
    _name: str
    _scopes: tuple[_core.Scope, _core.Scope] | None = None

    def __bool__(self) -> NoReturn:
        raise _no_truth_value(self, "collection")

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """A misspelt method of a database or collection ends here."""
        owner = "collection" if "." in self._name else "database"
        raise TypeError(
            f"{type(self).__name__!r} object is not callable: the {owner} has no method "
            f"{self._name.rpartition('.')[2]!r}"
        )


class SessionBase:
    """What commands need to know of an explicit session."""

    _client: ClientBase
    _core: _core.Session
    _options: SessionOptions
    _takes_files = False
    """Whether its transactions may have operations of GridFS: `gridfs_files.admit`."""

    def _repr_html_(self) -> str:
        from ferromongo._calls import html

        return html.session(self)


class ScopeBase:
    """Which session the operations of its client use in a block: none, of `outside_transaction`."""

    core: _core.Session | None = None

    def __init__(self, client: ClientBase) -> None:
        self.client = client

    @property
    def session(self) -> SessionBase | None:
        """The session as operations may be given it."""
        return None

    def join(self) -> _core.Session | None:
        """The session of an operation; raises if the transaction takes no more."""
        return None


def is_proxy(owner: object) -> bool:
    """Whether it stands for an object of another class, perhaps not always for the same."""
    return type(owner) is not owner.__class__


def check_codec_options(codec_options: Any) -> None:
    if not isinstance(codec_options, CodecOptions):
        raise TypeError(f"codec_options must be a CodecOptions, not {type(codec_options)}")


def check_read_preference(read_preference: Any) -> None:
    if not isinstance(read_preference, ServerMode):
        raise TypeError(f"read_preference must be a read preference, not {read_preference!r}")


def is_kind(owner: object, kind: str) -> bool:
    """Whether `owner` is a `kind`, by class name as PyMongo does for subclasses.

    By name, because a class cannot import the one whose attributes it is made from, and because
    mongomock's classes have the same names; by `__class__` as `isinstance` does, because proxies
    (werkzeug's, wrapt's, Django's) have their target's.
    """
    given = owner.__class__
    return given.__name__ == kind or any(base.__name__ == kind for base in given.__mro__)


def check_kind(owner: object, kind: str) -> None:
    if not is_kind(owner, kind):
        raise TypeError(f"{kind} required but given {owner.__class__.__name__}")


def check_database_name(name: Any) -> None:
    """Raise TypeError or InvalidName unless the server could have a database of that name."""
    if not isinstance(name, str):
        raise TypeError(f"name must be an instance of str, not {type(name)}")
    if not name:
        raise InvalidName("a database name cannot be empty")
    if name == "$external":
        return
    for character in ' .$/\\\x00"':
        if character in name:
            raise InvalidName(f"a database name cannot contain the character {character!r}")


def check_collection_name(name: Any, may_be_system: bool = True, argument: str = "name") -> None:
    """Raise TypeError or InvalidName unless the server could have a collection of that name."""
    if not isinstance(name, str):
        raise TypeError(f"{argument} must be an instance of str, not {type(name)}")
    if not name or ".." in name:
        raise InvalidName("a collection name cannot be empty")
    if "$" in name:
        allowed = ("oplog.$main", "$cmd") if may_be_system else ("oplog.$main",)
        if not name.startswith(allowed):
            raise InvalidName(f"a collection name must not contain '$': {name!r}")
    if name[0] == "." or name[-1] == ".":
        raise InvalidName(f"a collection name must not start or end with '.': {name!r}")
    if "\x00" in name:
        raise InvalidName("a collection name must not contain the null character")


def _no_truth_value(value: object, kind: str) -> NotImplementedError:
    return NotImplementedError(
        f"a {type(value).__name__} is neither true nor false; write `{kind} is not None`"
    )
