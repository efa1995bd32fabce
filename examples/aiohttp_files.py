"""A file server: aiohttp in front of GridFS, with ETags and ranges.

    pip install aiohttp
    export MONGODB_URI=mongodb://localhost:27017
    python examples/aiohttp_files.py

    curl -T tea.mp4 localhost:8080/files/          # upload as tea.mp4
    curl localhost:8080/files/                     # list
    curl -O localhost:8080/files/tea.mp4           # download
    curl -r 0-99 localhost:8080/files/tea.mp4      # the first 100 bytes
    curl -X DELETE localhost:8080/files/tea.mp4

`python -m ferromongo.embedded` starts a server and prints its URI. No file is ever in memory as a
whole. For programs that use Motor's classes, `ferromongo.motor.aiohttp` has such a handler.
"""

import mimetypes
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from ferromongo import AsyncMongoClient
from ferromongo.gridfs import AsyncGridFSBucket, AsyncGridOut, NoFile

URI = os.environ.get("MONGODB_URI", "mongodb://localhost:27017")
BUCKET = web.AppKey("bucket", AsyncGridFSBucket)

routes = web.RouteTableDef()


def make_app() -> web.Application:
    app = web.Application(middlewares=[answer_not_found])
    app.add_routes(routes)
    app.cleanup_ctx.append(connect)
    return app


async def connect(app: web.Application) -> AsyncIterator[None]:
    async with AsyncMongoClient[dict[str, Any]](URI) as client:
        app[BUCKET] = AsyncGridFSBucket(client.get_default_database("media"))
        yield


@web.middleware
async def answer_not_found(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except NoFile as error:
        raise web.HTTPNotFound(text=f"There is no file {request.match_info['name']!r}") from error


@routes.get("/files/")
async def list_files(request: web.Request) -> web.Response:
    found = request.app[BUCKET].find().sort([("filename", 1), ("uploadDate", -1)])
    files = [
        {"name": file.filename, "length": file.length, "uploaded": file.upload_date.isoformat()}
        async for file in found
    ]
    return web.json_response(files)


@routes.put("/files/{name}")
async def upload(request: web.Request) -> web.Response:
    """Store the body as a new file. One of the same name remains, as an older revision.

    Nothing is stored if the connection is lost on the way.
    """
    name = request.match_info["name"]
    try:
        key = await request.app[BUCKET].upload_from_stream(name, request.content)
    except ConnectionResetError as error:
        raise web.HTTPBadRequest(text="The connection was lost") from error
    return web.Response(status=201, headers={"Location": str(request.rel_url), "ETag": f'"{key}"'})


@routes.get("/files/{name}")  # and HEAD
async def download(request: web.Request) -> web.StreamResponse:
    """Send the newest file of that name, a part of it, or 304 if the client has it."""
    name = request.match_info["name"]
    async with await request.app[BUCKET].open_download_stream_by_name(name) as file:
        return await send(request, file)


async def send(request: web.Request, file: AsyncGridOut) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Accept-Ranges": "bytes"})
    # A file in GridFS never changes, so its _id identifies the content.
    response.etag = tag = str(file._id)
    if any(etag.value in (tag, "*") for etag in request.if_none_match or ()):
        response.set_status(304)
        return response
    response.last_modified = file.upload_date
    response.content_type = mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
    part = range(file.length)
    if (wanted := wanted_slice(request, tag)) is not None:
        part = part[wanted]
        if not part:
            headers = {"Content-Range": f"bytes */{file.length}"}
            raise web.HTTPRequestRangeNotSatisfiable(headers=headers)
        response.set_status(206)
        response.headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{file.length}"
    response.content_length = len(part)
    await response.prepare(request)
    if request.method == "GET":
        await file.seek(part.start)
        with suppress(ConnectionResetError):  # the client has gone away
            while left := part.stop - file.tell():
                await response.write(await file.read(min(left, file.chunk_size)))
    return response


def wanted_slice(request: web.Request, tag: str) -> slice | None:
    """The part of the file that the client asks for; None for the whole."""
    # With If-Range, the client has a part of a certain file, and no use for one of another.
    if "Range" not in request.headers or request.headers.get("If-Range", f'"{tag}"') != f'"{tag}"':
        return None
    try:
        return request.http_range
    except ValueError:
        return None  # not a single range of bytes: HTTP lets a server ignore it


@routes.delete("/files/{name}")
async def delete(request: web.Request) -> web.Response:
    """Delete all revisions."""
    await request.app[BUCKET].delete_by_name(request.match_info["name"])
    return web.Response(status=204)


if __name__ == "__main__":
    web.run_app(make_app(), port=8080)
