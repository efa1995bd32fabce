"""What PyMongo has and ferromongo has not yet raises, instead of misleading."""

from __future__ import annotations


def not_yet(what: str) -> NotImplementedError:
    return NotImplementedError(f"ferromongo does not have {what} yet")
