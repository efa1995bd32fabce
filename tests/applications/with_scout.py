"""Scout: spans around the methods of collections."""

import sys

import scout_apm.api
from pymongo import MongoClient
from scout_apm.core.tracked_request import TrackedRequest
from scout_apm.instruments.pymongo import ensure_installed

# Nothing is sent.
scout_apm.api.Config.set(monitor=False, core_agent_launch=False)
ensure_installed()


def main(uri: str) -> None:
    with MongoClient(uri) as client:
        request = TrackedRequest.instance()
        with scout_apm.api.instrument("request"):
            orders = client.scout.orders
            orders.insert_one({"_id": 0})
            orders.insert_many([{"_id": number} for number in range(1, 10)])
            orders.update_one({"_id": 1}, {"$set": {"total": 5}})
            print(orders.find_one({"_id": 1}))
            print(list(orders.aggregate([{"$count": "orders"}])))
            print(len(list(orders.find(batch_size=4))))
            print(orders.count_documents({}), orders.distinct("total"))
            for span in request.complete_spans:
                print(span.operation, span.tags["name"])
            assert len(request.complete_spans) == 8


if __name__ == "__main__":
    main(sys.argv[1])
