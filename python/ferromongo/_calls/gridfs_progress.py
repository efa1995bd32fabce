"""The progress of a transfer: the caller's function, or a bar of tqdm."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[int, int | None], Any]
"""Called with how many bytes were transferred, and how many there are, or None if not known."""


def check_progress(progress: Any) -> None:
    """Raise TypeError, or ImportError if there is no tqdm, before anything is transferred."""
    if progress is True:
        _tqdm()
    elif progress is not None and progress is not False and not callable(progress):
        raise TypeError(
            f"progress must be a function of (done, total), True or None, not {type(progress)}"
        )


@contextmanager
def reported(progress: Progress | bool | None, name: str | None) -> Iterator[Progress]:
    """What to call in the block; a bar ends with it."""
    if progress is True:
        bar = _Bar(name)
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield progress or _nothing


def _nothing(done: int, total: int | None) -> None:
    pass


class _Bar:
    def __init__(self, name: str | None) -> None:
        self._name = name
        self._bar: Any = None

    def __call__(self, done: int, total: int | None) -> None:
        if self._bar is None:
            self._bar = _tqdm()(
                total=total, desc=self._name, unit="B", unit_scale=True, unit_divisor=1024
            )
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _tqdm() -> Any:
    try:
        return importlib.import_module("tqdm.auto").tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True shows a bar of tqdm, which is not installed: pip install tqdm, or pass "
            "a function of (done, total)"
        ) from error
