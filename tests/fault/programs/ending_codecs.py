"""Threads of `ending.py` whose documents are decoded and encoded by Python code."""

import collections
import datetime
import decimal

import bson
from bson.codec_options import CodecOptions, TypeDecoder, TypeRegistry
from tests.drivers import package
from tests.fault.programs.ending_work import DOCUMENTS, DecimalCodec, Kept, setup, spin


class Zone(datetime.tzinfo):
    def utcoffset(self, when):
        spin()
        return datetime.timedelta(hours=2)

    def dst(self, when):
        return datetime.timedelta(0)

    def tzname(self, when):
        return "Z"


class Number(TypeDecoder):
    bson_type = int

    def transform_bson(self, value):
        spin()
        return str(value)


def fallback(value):
    spin()
    return str(value)


@setup
async def son(work):
    return await work.find(document_class=bson.SON)


@setup
async def ordered(work):
    return await work.find(document_class=collections.OrderedDict)


@setup
async def finalizers(work):
    return await work.find(document_class=Kept)


@setup
async def raw(work):
    return await work.find(document_class=bson.raw_bson.RawBSONDocument)


@setup
async def zone(work):
    return await work.find(tz_aware=True, tzinfo=Zone())


@setup
async def decoder(work):
    return await work.find(type_registry=TypeRegistry([Number()]))


@setup
async def decimals(work):
    documents = [{"price": decimal.Decimal(n)} for n in range(100)]
    options = {"document_class": Kept, "type_registry": TypeRegistry([DecimalCodec()])}
    return await work.find(documents, **options)


@setup
async def unicode_errors(work):
    return await work.find(unicode_decode_error_handler="replace")


@setup
async def fallback_encoder(work):
    client = work.client(type_registry=TypeRegistry(fallback_encoder=fallback))

    async def write():
        await client[work.name].odd.insert_many([{"odd": 1j} for _ in range(50)])

    return write


@setup
async def functions(work):
    """`bson.decode_all` and `encode`, without a client."""
    from ferromongo import bson as own

    codec = own if package.__name__ == "ferromongo" else bson
    options = CodecOptions(document_class=Kept, type_registry=TypeRegistry([DecimalCodec()]))
    data = b"".join(map(bson.encode, DOCUMENTS))

    async def convert():
        codec.decode_all(data, options)
        codec.encode({"all": [decimal.Decimal(1)] * 50}, codec_options=options)
        await work.driver.sleep(0)

    return convert
