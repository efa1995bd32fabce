"""GridFS, beside Motor."""

from __future__ import annotations

import asyncio
import io

from tests.parity.beside_motor import Programs, raised, raised_at_once

program = Programs()


@program
async def files(module, collection):
    bucket = module.AsyncIOMotorGridFSBucket(collection.database, chunk_size_bytes=1000)
    data = b"line\n" * 1000
    key = await bucket.upload_from_stream("a.txt", data, metadata={"m": 1})
    out = await bucket.open_download_stream(key)
    seen = [out._id == key, out.filename, out.name, out.length, out.chunk_size, out.metadata]
    seen += [out.content_type, out.aliases, out.upload_date is not None, out.m if 0 else None]
    seen += [await out.read(7), out.tell(), out.seek(0), await out.readline(), out.seek(-3, 2)]
    seen += [await out.read(), await out.read(), out.readable(), out.seekable()]
    seen.append(raised_at_once(out.write, b"x"))
    out.seek(0)
    seen.append([len(chunk) async for chunk in out])
    again = await bucket.open_download_stream_by_name("a.txt")
    seen += [len(await again.readchunk()), again.close()]
    async with bucket.open_upload_stream("b.txt", chunk_size_bytes=3) as file:
        await file.write(b"12345")
        await file.writelines([b"6", b"7"])
        await file.set("owner", "me")
        seen += [file.closed, file.filename, file.chunk_size, type(file).__name__]
    seen += [file.closed, file.length, file.owner, raised_at_once(file.read)]
    seen += [file.readable(), file.seekable(), file.writeable()]
    named = await bucket.open_download_stream_by_name("b.txt")
    seen += [named.owner, await named.read(), raised_at_once(getattr, named, "nothing")]
    with_id = bucket.open_upload_stream_with_id("x", "c.txt")
    await with_id.write(b"c")
    await with_id.abort()
    seen.append(await raised(bucket.open_download_stream("x")))
    await bucket.upload_from_stream_with_id("y", "d.txt", b"d")
    await bucket.rename("y", "e.txt")
    seen.append(await raised(bucket.rename("z", "e.txt")))
    await bucket.delete("y")
    seen.append(await raised(bucket.delete("y")))
    return seen


@program
async def fields_of_a_file_are_set_by_the_names_of_attributes(module, collection):
    bucket = module.AsyncIOMotorGridFSBucket(collection.database)
    files = collection.database.fs.files
    seen = []
    for when in ("open", "closed"):
        for name in (
            *("filename", "name", "content_type", "contentType", "metadata", "other"),
            *("_id", "length", "chunk_size", "upload_date", "md5", "closed"),
        ):
            file = bucket.open_upload_stream("tea.txt")
            await file.write(b"leaves")
            if when == "closed":
                await file.close()
            future = file.set(name, "new")
            seen.append((when, name, asyncio.isfuture(future), await raised(future)))
            seen.append((file.filename, file.name, file.content_type, file.chunk_size))
            await file.close()
            stored = await files.find_one({"_id": file._id})
            seen.append((stored["length"], sorted(stored), "new" in stored.values()))
    return seen


@program
async def files_that_are_not_open(module, collection):
    bucket = module.AsyncIOMotorGridFSBucket(collection.database)
    key = await bucket.upload_from_stream("a.txt", b"abc")
    out = module.AsyncIOMotorGridOut(collection.database.fs, file_id=key)
    seen = [raised_at_once(getattr, out, name) for name in ("length", "_id", "owner")]
    seen.append(raised_at_once(lambda: out.close()))
    opening = out.open()
    seen += [asyncio.isfuture(opening), await opening is out, out.length]
    seen.append(raised_at_once(module.AsyncIOMotorGridOut, 5))
    seen.append(raised_at_once(module.AsyncIOMotorGridIn, 5))
    missing = module.AsyncIOMotorGridOut(collection.database.fs, file_id="nothing")
    seen += [await raised(missing.open()), await raised(missing.read())]
    new = module.AsyncIOMotorGridIn(collection.database.fs, filename="n", custom=1)
    await new.write(b"new")
    await new.close()
    seen += [new.custom, new.length, raised_at_once(getattr, new, "nothing")]
    return seen


@program
async def files_are_found(module, collection):
    bucket = module.AsyncIOMotorGridFSBucket(collection.database)
    for name in ("a", "b", "c"):
        await bucket.upload_from_stream(name, name.encode())
    cursor = bucket.find().sort("filename", 1)
    seen = [type(cursor).__name__, [type(file).__name__ async for file in cursor]]
    old = bucket.find({"filename": {"$gt": "a"}}).sort("filename", -1)
    while await old.fetch_next:
        file = old.next_object()
        seen.append((type(file).__name__, file.filename, await file.read()))
    seen.append(old.next_object())
    seen.append([file["filename"] for file in await bucket.find().sort("filename").to_list(2)])
    seen.append(raised_at_once(bucket.find().add_option, 16))
    seen.append(bucket.wrap(5))
    return seen


@program
async def files_go_to_streams(module, collection):

    bucket = module.AsyncIOMotorGridFSBucket(collection.database, "other")
    key = await bucket.upload_from_stream("a", io.BytesIO(b"abc" * 1000))
    one, two, three = io.BytesIO(), io.BytesIO(), []
    await bucket.download_to_stream(key, one)
    await bucket.download_to_stream_by_name("a", two)

    class Handler:
        def write(self, chunk):
            three.append(chunk)

        def flush(self):
            three.append("flush")

    await (await bucket.open_download_stream(key)).stream_to_handler(Handler())
    return [one.getvalue(), two.getvalue(), three, sorted(await bucket_names(collection))]


async def bucket_names(collection):
    return await collection.database.list_collection_names()


test_same_as_motor = program.test()
