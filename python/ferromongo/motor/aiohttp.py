"""Serve GridFS files with aiohttp: what `motor.aiohttp` has, and ranges.

handler = AIOHTTPGridFS(client.media)
app.router.add_route("GET", "/files/{filename}", handler)
app.router.add_route("HEAD", "/files/{filename}", handler)
"""

from __future__ import annotations

import asyncio
import datetime
import inspect
import mimetypes
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp.web
from gridfs.errors import NoFile

from ferromongo.motor.motor_asyncio import (
    AsyncIOMotorDatabase,
    AsyncIOMotorGridFSBucket,
    AsyncIOMotorGridOut,
)
from ferromongo.motor.motor_gridfs.etag import _hash_gridout
from ferromongo.motor.ranges import byte_range

GetFile = Callable[
    [AsyncIOMotorGridFSBucket, str, aiohttp.web.Request], Awaitable[AsyncIOMotorGridOut]
]
GetCacheTime = Callable[[str, datetime.datetime, "str | None"], int]
SetHeaders = Callable[[aiohttp.web.StreamResponse, AsyncIOMotorGridOut], None]


def get_gridfs_file(
    bucket: AsyncIOMotorGridFSBucket, filename: str, request: aiohttp.web.Request
) -> Awaitable[AsyncIOMotorGridOut]:
    """The file to serve: the newest of that name. Pass another function to choose otherwise."""
    file: Any = bucket.open_download_stream_by_name(filename)
    found: Awaitable[AsyncIOMotorGridOut] = file
    return found


def get_cache_time(filename: str, modified: datetime.datetime, mime_type: str | None) -> int:
    """How many seconds the file may be cached: 0, which lets caches ask each time."""
    return 0


def set_extra_headers(response: aiohttp.web.StreamResponse, gridout: AsyncIOMotorGridOut) -> None:
    """Set further headers of the response: none."""


class AIOHTTPGridFS:
    """A handler of GET and HEAD requests whose route has a variable `{filename}`.

    Responses have ETag and Last-Modified; If-None-Match and If-Modified-Since are answered with
    304, a range of bytes with 206, and one that lies beyond the file with 416.
    """

    def __init__(
        self,
        database: AsyncIOMotorDatabase[Any],
        root_collection: str = "fs",
        get_gridfs_file: GetFile = get_gridfs_file,
        get_cache_time: GetCacheTime = get_cache_time,
        set_extra_headers: SetHeaders = set_extra_headers,
    ) -> None:
        """Serves the files of a bucket.

        :param root_collection: the name of the bucket
        :param get_gridfs_file: chooses the file; returns an awaitable AsyncIOMotorGridOut
        :param get_cache_time: how many seconds a file may be cached
        :param set_extra_headers: sets further headers
        """
        if not isinstance(database, AsyncIOMotorDatabase):
            raise TypeError(
                f"First argument to AIOHTTPGridFS must be AsyncIOMotorDatabase, not {database!r}"
            )
        self._bucket = AsyncIOMotorGridFSBucket(database, root_collection)
        self._get_gridfs_file = get_gridfs_file
        self._get_cache_time = get_cache_time
        self._set_extra_headers = set_extra_headers
        _mark_as_coroutine_function(self)

    async def __call__(self, request: aiohttp.web.Request) -> aiohttp.web.StreamResponse:
        """Send the file."""
        if "filename" not in request.match_info:
            raise aiohttp.web.HTTPInternalServerError(
                text=f"Bad AIOHTTPGridFS route {request.path!r}, requires a {{filename}} variable"
            )
        if request.method not in ("GET", "HEAD"):
            raise aiohttp.web.HTTPMethodNotAllowed(request.method, {"GET", "HEAD"})
        try:
            filename = request.match_info["filename"]
            file = await self._get_gridfs_file(self._bucket, filename, request)
        except NoFile as error:
            raise aiohttp.web.HTTPNotFound(text=request.path) from error
        response = aiohttp.web.StreamResponse()
        etag = _hash_gridout(file)
        self._set_standard_headers(request.path, response, file, etag)
        self._set_extra_headers(response, file)
        if _is_unchanged(request, file, etag):
            response.set_status(304)
            return response
        first, end = 0, file.length
        if (wanted := self._wanted(request, file, etag)) is not None:
            first, end = wanted
            response.set_status(206)
            response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{file.length}"
        response.content_length = end - first
        await response.prepare(request)
        if request.method == "GET":
            file.seek(first)
            while first < end and (chunk := await file.read(min(file.chunk_size, end - first))):
                await response.write(chunk)
                first += len(chunk)
        return response

    def _wanted(
        self, request: aiohttp.web.Request, file: AsyncIOMotorGridOut, etag: str
    ) -> tuple[int, int] | None:
        """The first byte and the end of the range to be sent, None for the whole file."""
        given = request.headers.get("Range")
        # A range of an older version is of no use.
        if given is None or request.headers.get("If-Range", f'"{etag}"') != f'"{etag}"':
            return None
        try:
            return byte_range(given, file.length)
        except ValueError as error:
            headers = {"Content-Range": f"bytes */{file.length}"}
            raise aiohttp.web.HTTPRequestRangeNotSatisfiable(headers=headers) from error

    def _set_standard_headers(
        self,
        path: str,
        response: aiohttp.web.StreamResponse,
        file: AsyncIOMotorGridOut,
        etag: str,
    ) -> None:
        response.last_modified = file.upload_date
        if content_type := file.content_type or mimetypes.guess_type(path)[0]:
            response.content_type = content_type
        response.headers["Etag"] = f'"{etag}"'
        response.headers["Accept-Ranges"] = "bytes"
        seconds = self._get_cache_time(path, file.upload_date, file.content_type)
        if seconds > 0:
            expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
            response.headers["Expires"] = expires.strftime("%a, %d %b %Y %H:%M:%S GMT")
            response.headers["Cache-Control"] = f"max-age={seconds}"
        else:
            response.headers["Cache-Control"] = "public"


def _mark_as_coroutine_function(handler: Any) -> None:
    """aiohttp warns of handlers that are none; an object whose call is one has to say so."""
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(handler)
    else:
        handler._is_coroutine = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]


def _is_unchanged(request: aiohttp.web.Request, file: AsyncIOMotorGridOut, etag: str) -> bool:
    """Whether the client has this version."""
    since = request.if_modified_since
    if since is not None:
        modified = file.upload_date.replace(microsecond=0)
        # The dates of a client that is not tz_aware are in UTC.
        if since.replace(tzinfo=modified.tzinfo) >= modified:
            return True
    given = request.headers.get("If-None-Match")
    return given is not None and given.strip('"') == etag
