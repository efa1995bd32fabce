"""What a client tells of itself in its handshakes: PyMongo's metadata under ferromongo's own name.

PyMongo's options collect them (application, drivers on top, platform, the environment a program
runs in) and keep them within 512 bytes as the handshake specification has it.
"""

from __future__ import annotations

from typing import Any

from pymongo import has_c
from pymongo.driver_info import DriverInfo
from pymongo.pool_options import PoolOptions

from ferromongo import _core
from ferromongo._calls.bases import ClientBase
from ferromongo._pymongo_internals import shorten_metadata

Named = tuple[str, str | None, str | None]
"""A driver's name, version and platform."""


def handshake_metadata(pool: PoolOptions, is_sync: bool) -> dict[str, Any]:
    metadata = pool.metadata
    driver = metadata["driver"]
    # In front stand PyMongo, its C extension and its asynchronous API: none of them is at work.
    own = 1 + has_c() + (not is_sync)
    names = ["ferromongo", *driver["name"].split("|")[own:]]
    versions = [_core.__version__, *driver["version"].split("|")[own:]]
    metadata["driver"] = {"name": "|".join(names), "version": "|".join(versions)}
    shorten_metadata(metadata)  # our name may be the longer one
    return metadata


def named_drivers(pool: PoolOptions) -> list[Named]:
    """For the monitors, which speak in the name of the official Rust driver."""
    ours: list[Named] = [("ferromongo", _core.__version__, None)]
    return ours if pool.driver is None else [*ours, _named(pool.driver)]


def append_metadata(client: ClientBase, driver_info: DriverInfo, is_sync: bool) -> None:
    if not isinstance(driver_info, DriverInfo):
        raise TypeError(f"driver_info must be a DriverInfo, not {type(driver_info)}")
    pool = client._client_options.pool_options
    pool._update_metadata(driver_info)
    client._core.append_metadata(handshake_metadata(pool, is_sync), _named(driver_info))


def _named(driver: DriverInfo) -> Named:
    return driver.name or "", driver.version, driver.platform
