"""Bytes as a source of choices. One draw of bytes makes a whole document: hypothesis stays fast
enough for tens of thousands of examples, and by shrinking the bytes it shrinks what they make.

When the bytes are used up every choice is the first one: makers put the simplest one there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")

#: What `@given` draws: enough for a document of a few dozen values, and always as much, because
#: hypothesis, left the choice, hardly ever draws more than twenty bytes.
seeds = st.binary(min_size=240, max_size=240)


class Choices:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def bytes(self, count: int) -> bytes:
        taken = self.data[self.at : self.at + count]
        self.at += count
        return taken.ljust(count, b"\0")

    def number(self, size: int, signed: bool = False) -> int:
        return int.from_bytes(self.bytes(size), "little", signed=signed)

    def rest(self) -> bytes:
        return self.data[self.at :]

    def below(self, limit: int) -> int:
        return self.number(1 if limit <= 256 else 2) % limit

    def pick(self, alternatives: Sequence[T]) -> T:
        return alternatives[self.below(len(alternatives))]

    def rarely(self, one_in: int) -> bool:
        return self.below(one_in) == one_in - 1

    def several(self, limit: int, make: Any) -> list[Any]:
        return [make() for _ in range(self.below(limit + 1))]
