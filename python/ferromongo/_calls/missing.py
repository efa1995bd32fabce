"""What PyMongo has and ferromongo has not yet: each name raises instead of misleading."""

from __future__ import annotations

from typing import Any, NoReturn


def not_yet(what: str) -> NotImplementedError:
    return NotImplementedError(f"ferromongo does not have {what} yet")


def _class(name: str) -> type:
    def refuse(self: object, *args: Any, **kwargs: Any) -> NoReturn:
        raise not_yet(name)

    return type(name, (), {"__init__": refuse, "__module__": __name__})


# The names of PyMongo's package `gridfs`, for `install`: its classes would not take our databases.
GRIDFS = {
    name: _class(name)
    for prefix in ("", "Async")
    for name in (
        f"{prefix}GridFS",
        f"{prefix}GridFSBucket",
        f"{prefix}GridIn",
        f"{prefix}GridOut",
        f"{prefix}GridOutCursor",
    )
}
