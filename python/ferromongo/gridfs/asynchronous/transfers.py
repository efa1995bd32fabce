"""Whole files into and out of GridFS: from and to bytes, paths and file objects, with progress."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from ferromongo._calls import gridfs_files as files
from ferromongo._calls.gridfs_local import LocalDownload, bytes_left, check_path, is_path
from ferromongo._calls.gridfs_progress import Progress, check_progress, reported
from ferromongo._calls.gridfs_upload import encoded, source_bytes
from ferromongo._drive import answer, off_loop

if TYPE_CHECKING:
    from ferromongo.gridfs.asynchronous.grid_in import AsyncGridIn
    from ferromongo.gridfs.asynchronous.grid_out import AsyncGridOut

_BLOCK = 1 << 20
"""About how many bytes of a local file are read at once."""
_LARGE_BLOCK = 4 << 20
"""About how many are written at once: a batch of chunks."""


async def fill(file: AsyncGridIn, source: Any, progress: Progress | bool | None = None) -> None:
    """Store all of a source, then close the file. If that fails nothing is left of it."""
    check_progress(progress)
    if is_path(source):
        local = await off_loop(open, source, "rb")
        try:
            await _fill_in_pieces(file, _LocalSource(local, file.chunk_size), local, progress)
        finally:
            await off_loop(local.close)
    elif progress:
        if not hasattr(source, "read"):
            source = io.BytesIO(encoded(source, getattr(file, "encoding", None)))
        await _fill_in_pieces(file, source, source, progress)
    else:
        async with file:
            await file.write(source)


async def copy(
    file: AsyncGridOut, destination: Any, progress: Progress | bool | None = None
) -> None:
    """Write what is left of a file to a destination, then close the file."""
    check_progress(progress)
    if is_path(destination):
        await copy_to_path(file, check_path(destination), progress)
        return
    async with file:
        await _copy_in_pieces(file, destination, progress)


async def copy_to_path(
    file: AsyncGridOut, path: str, progress: Progress | bool | None = None
) -> None:
    """Make a local file of it, which appears when it is whole."""
    check_progress(progress)
    local = LocalDownload(path)
    try:
        await off_loop(local.begin)
        await copy(file, _LocalDestination(local), progress)
        await off_loop(local.keep)
    finally:
        local.discard()


async def _fill_in_pieces(
    file: AsyncGridIn, source: Any, measured: Any, progress: Progress | bool | None
) -> None:
    async with file:
        total = bytes_left(measured)
        files.check_fits(file._session, total or 0)
        await _write_pieces(file, source, total, progress)


async def _write_pieces(
    file: AsyncGridIn, source: Any, total: int | None, progress: Progress | bool | None
) -> None:
    with reported(progress, file.filename) as report:
        done = 0
        await answer(report(done, total))
        while piece := await answer(source.read(file.chunk_size)):
            await file.write(source_bytes(piece))
            done += len(piece)
            await answer(report(done, total))


async def _copy_in_pieces(
    file: AsyncGridOut, destination: Any, progress: Progress | bool | None
) -> None:
    # Those who watch it, or a file object of the caller's, get each chunk.
    block = _LARGE_BLOCK if isinstance(destination, _LocalDestination) and not progress else 0
    with reported(progress, file.filename) as report:
        done, total = 0, file.length
        await answer(report(done, total))
        while part := await file._copied_part(block):
            await answer(destination.write(part))
            done += len(part)
            await answer(report(done, total))


class _LocalSource:
    """A local file, read in blocks of many chunks."""

    def __init__(self, local: io.BufferedReader, chunk_size: int) -> None:
        self._local = local
        self._size = max(_BLOCK // chunk_size, 1) * chunk_size

    async def read(self, size: int) -> bytes:
        return await off_loop(self._local.read, self._size)


class _LocalDestination:
    def __init__(self, local: LocalDownload) -> None:
        self._local = local

    async def write(self, data: bytes) -> None:
        await off_loop(self._local.write, data)
