"""Serve GridFS files with Tornado: what `motor.web` has.

application = tornado.web.Application(
    [(r"/files/(.*)", GridFSHandler, {"database": client.media})]
)
"""

from __future__ import annotations

import datetime
import email.utils
import mimetypes
from collections.abc import Awaitable
from typing import Any

import tornado.httputil
import tornado.web
from gridfs.errors import NoFile

from ferromongo.motor.motor_gridfs.etag import _hash_gridout
from ferromongo.motor.motor_tornado import MotorDatabase, MotorGridFSBucket, MotorGridOut


class GridFSHandler(tornado.web.RequestHandler):
    """Serves the file that the path names; override `get_gridfs_file` to choose otherwise.

    Responses have ETag and Last-Modified; If-None-Match and If-Modified-Since are answered with
    304.
    """

    def initialize(self, database: MotorDatabase[Any], root_collection: str = "fs") -> None:
        """Takes what the route says."""
        self.database = database
        self.root_collection = root_collection

    def get_gridfs_file(
        self,
        bucket: MotorGridFSBucket,
        filename: str,
        request: tornado.httputil.HTTPServerRequest,
    ) -> Awaitable[MotorGridOut]:
        """The file to serve: the newest of that name."""
        file: Any = bucket.open_download_stream_by_name(filename)
        found: Awaitable[MotorGridOut] = file
        return found

    async def get(self, path: str, include_body: bool = True) -> None:
        """Send the file."""
        bucket = MotorGridFSBucket(self.database, self.root_collection)
        try:
            file = await self.get_gridfs_file(bucket, path, self.request)
        except NoFile:
            raise tornado.web.HTTPError(404) from None
        modified = file.upload_date.replace(microsecond=0)
        etag = _hash_gridout(file)
        content_type = file.content_type or mimetypes.guess_type(path)[0]
        self.set_header("Last-Modified", modified)
        self.set_header("Etag", f'"{etag}"')
        if content_type:
            self.set_header("Content-Type", content_type)
        self._set_caching(self.get_cache_time(path, modified, content_type))
        self.set_extra_headers(path, file)
        if self._is_unchanged(modified, etag):
            self.set_status(304)
            return
        self.set_header("Content-Length", file.length)
        if include_body:
            await file.stream_to_handler(self)
        self.finish()

    async def head(self, path: str) -> None:
        """Send the headers only."""
        await self.get(path, include_body=False)

    def get_cache_time(self, path: str, modified: datetime.datetime, mime_type: str | None) -> int:
        """How many seconds the file may be cached: 0, which lets caches ask each time."""
        return 0

    def set_extra_headers(self, path: str, gridout: MotorGridOut) -> None:
        """Set further headers of the response: none."""

    def _set_caching(self, seconds: int) -> None:
        if seconds > 0:
            now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
            self.set_header("Expires", now + datetime.timedelta(seconds=seconds))
            self.set_header("Cache-Control", f"max-age={seconds}")
        else:
            self.set_header("Cache-Control", "public")

    def _is_unchanged(self, modified: datetime.datetime, etag: str) -> bool:
        """Whether the client has this version."""
        since = self.request.headers.get("If-Modified-Since")
        if since is not None:
            date = email.utils.parsedate_to_datetime(since)
            if date.replace(tzinfo=modified.tzinfo) >= modified:
                return True
        given = self.request.headers.get("If-None-Match")
        return given is not None and given.strip('"') == etag
