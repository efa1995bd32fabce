"""What all of Motor's objects are: a delegate of the synchronous API, and a loop to work on.

The delegate shares the engine with the Motor object: connections, sessions and what is known of the
servers are the same. It may be used beside it, in code that blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bson.codec_options import CodecOptions
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from ferromongo._pymongo_internals import ServerMode

if TYPE_CHECKING:
    from typing import Self

    from ferromongo.motor.core.framework import Framework


class OnLoop:
    """Anything whose operations run on an event loop."""

    _framework: ClassVar[Framework]

    def get_io_loop(self) -> Any:
        """The loop that the operations run on."""
        raise NotImplementedError

    if not TYPE_CHECKING:

        @classmethod
        def __class_getitem__(cls, key: Any) -> type[Self]:
            """The class itself: `isinstance(client, AsyncIOMotorClient[dict])` is allowed."""
            return cls


class OnOwnLoop(OnLoop):
    """On a loop that was given to it, or else the one that is current at the first use."""

    _io_loop: Any

    @property
    def io_loop(self) -> Any:
        """The loop that its operations run on."""
        if self._io_loop is None:
            self._io_loop = self._framework.event_loop()
        return self._io_loop

    def get_io_loop(self) -> Any:
        """The loop that its operations run on."""
        return self.io_loop


class AgnosticBase(OnLoop):
    """An object with a delegate. Two are equal if their delegates are."""

    delegate: Any

    def __init__(self, delegate: Any) -> None:
        self.delegate = delegate

    def __eq__(self, other: object) -> bool:
        if isinstance(other, type(self)):
            return bool(self.delegate == other.delegate)
        return NotImplemented

    __hash__: ClassVar[None]  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.delegate!r})"


class AgnosticBaseProperties(AgnosticBase):
    """An object with options of its own: a client, database or collection."""

    @property
    def codec_options(self) -> CodecOptions[Any]:
        """How documents are converted to and from BSON."""
        options: CodecOptions[Any] = self.delegate.codec_options
        return options

    @property
    def read_preference(self) -> ServerMode:
        """Which members reads may go to."""
        preference: ServerMode = self.delegate.read_preference
        return preference

    @property
    def read_concern(self) -> ReadConcern:
        """How durable the data must be that reads return."""
        concern: ReadConcern = self.delegate.read_concern
        return concern

    @property
    def write_concern(self) -> WriteConcern:
        """How many members must confirm a write."""
        concern: WriteConcern = self.delegate.write_concern
        return concern


def plain(given: Any) -> Any:
    """The delegate of one of Motor's objects; anything else as it is."""
    return given.delegate if isinstance(given, AgnosticBase) else given
