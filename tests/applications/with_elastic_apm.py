"""Elastic APM: spans around the methods of collections and cursors."""

import sys

import elasticapm
from elasticapm.transport.base import Transport
from pymongo import MongoClient

sent = []


class Kept(Transport):
    """Keeps what would go to the server of Elastic APM."""

    def queue(self, event_type, data, flush=False):
        sent.append((event_type, data))

    def start_thread(self, pid=None):
        pass

    def close(self):
        pass


agent = elasticapm.Client(
    service_name="shop",
    transport_class=f"{__name__}.Kept",
    central_config=False,
    cloud_provider="none",
    metrics_interval="0ms",
    span_compression_enabled=False,
)
elasticapm.instrument()


def main(uri: str) -> None:
    with MongoClient(uri) as client:
        agent.begin_transaction("request")
        orders = client.elastic_apm.orders
        orders.insert_one({"_id": 0})
        orders.insert_many([{"_id": number} for number in range(1, 10)])
        orders.update_one({"_id": 1}, {"$set": {"total": 5}})
        print(orders.find_one({"_id": 1}))
        print(list(orders.aggregate([{"$count": "orders"}])))
        print(len(list(orders.find(batch_size=4))))
        print(
            orders.find_one_and_delete({"_id": 9}),
            orders.count_documents({}),
            orders.distinct("total"),
        )
        orders.create_index("total")
        client.elastic_apm.command("ping")
        client.elastic_apm.drop_collection("orders")
        agent.end_transaction("shop", "OK")
    agent.close()
    for kind, event in sent:
        if kind == "span":
            print(event["name"], event["type"], event["subtype"], event["action"], event["outcome"])


if __name__ == "__main__":
    main(sys.argv[1])
