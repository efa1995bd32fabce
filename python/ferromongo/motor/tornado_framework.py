"""Tornado as Motor's framework: its IOLoops, which run on asyncio's loops."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from typing import Any

import tornado
from tornado.ioloop import IOLoop

from ferromongo.motor.core.framework import Framework


class _Tornado(Framework):
    platform = f"Tornado {tornado.version}"

    def event_loop(self) -> IOLoop:
        return IOLoop.current()

    def check_event_loop(self, loop: Any) -> None:
        if not isinstance(loop, IOLoop):
            raise TypeError(f"io_loop must be an IOLoop, not {loop!r}")

    def asyncio_loop(self, loop: Any) -> AbstractEventLoop:
        own: AbstractEventLoop = loop.asyncio_loop
        return own


framework = _Tornado()
