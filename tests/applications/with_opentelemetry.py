"""OpenTelemetry: one span for each command."""

import asyncio
import sys

from opentelemetry import trace
from opentelemetry.instrumentation.pymongo import PymongoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import OperationFailure

spans = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(spans))
PymongoInstrumentor().instrument(capture_statement=True)


def main(uri: str) -> None:
    with MongoClient(uri) as client, trace.get_tracer("shop").start_as_current_span("request"):
        orders = client.opentelemetry.orders
        orders.insert_many([{"_id": number} for number in range(10)])
        print(orders.find_one({"_id": 7}))
        print(list(orders.aggregate([{"$count": "orders"}])))
        print(len(list(orders.find(batch_size=4))))
        try:
            client.opentelemetry.command("noSuchCommand")
        except OperationFailure as error:
            print(type(error).__name__)
    report()
    asyncio.run(asynchronously(uri))
    report()


async def asynchronously(uri: str) -> None:
    async with AsyncMongoClient(uri) as client:
        with trace.get_tracer("shop").start_as_current_span("async request"):
            orders = client.opentelemetry.orders
            print((await orders.delete_many({"_id": {"$gt": 5}})).deleted_count)
            print(len([order async for order in orders.find(batch_size=4)]))


def report() -> None:
    finished = spans.get_finished_spans()
    names = {span.context.span_id: span.name for span in finished}
    for span in finished:
        attributes = {key: value for key, value in span.attributes.items() if "port" not in key}
        parent = span.parent and names.get(span.parent.span_id)
        print(span.name, span.kind.name, span.status.status_code.name, "in", parent, attributes)
    assert {"opentelemetry.find", "opentelemetry.getMore"} <= set(names.values())
    spans.clear()


if __name__ == "__main__":
    main(sys.argv[1])
