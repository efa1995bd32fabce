"""Checks of arguments that PyMongo has no function for."""

from typing import Any


def check_int(name: str, value: Any) -> None:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an instance of int, not {type(value)}")


def check_int_or_none(name: str, value: Any) -> None:
    if value is not None:
        check_int(name, value)
