"""asyncio as Motor's framework: its event loops."""

from __future__ import annotations

import asyncio
from typing import Any

from ferromongo.motor.core.framework import Framework


class _Asyncio(Framework):
    platform = "asyncio"

    def event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_event_loop()

    def check_event_loop(self, loop: Any) -> None:
        if not isinstance(loop, asyncio.AbstractEventLoop):
            raise TypeError(f"io_loop must be an asyncio event loop, not {loop!r}")

    def asyncio_loop(self, loop: Any) -> asyncio.AbstractEventLoop:
        own: asyncio.AbstractEventLoop = loop
        return own


framework = _Asyncio()
