"""Locust: greenlets that share a client, and the reader of locust-plugins."""

import sys

import pymongo
from locust import User, constant, task
from locust.env import Environment
from locust.exception import StopUser
from locust_plugins.mongoreader import MongoLRUReader

USERS, ORDERS = 20, 10


class Shopper(User):
    wait_time = constant(0)
    shop = None
    reader = None

    def on_start(self):
        self.customer = next(self.reader)
        self.orders = 0

    @task
    def order(self):
        if self.orders == ORDERS:
            raise StopUser
        self.orders += 1
        with self.environment.events.request.measure("insert", "order"):
            self.shop.orders.insert_one({"customer": self.customer["_id"]})
        with self.environment.events.request.measure("find", "orders"):
            self.shop.orders.find_one({"customer": self.customer["_id"]})


def main(uri: str) -> None:
    with pymongo.MongoClient(uri) as client:
        shop = Shopper.shop = client.locust
        shop.customers.insert_many([{"_id": number, "used": number} for number in range(USERS)])
        Shopper.reader = MongoLRUReader({}, "used", shop.customers)
        environment = Environment(user_classes=[Shopper])
        runner = environment.create_local_runner()
        runner.start(USERS, spawn_rate=USERS)
        runner.spawning_greenlet.join()
        runner.user_greenlets.join()
        for entry in environment.stats.entries.values():
            print(entry.method, entry.name, entry.num_requests, entry.num_failures)
        runner.quit()
        by_customer = shop.orders.aggregate([{"$sortByCount": "$customer"}]).to_list()
        print(len(by_customer), {customer["count"] for customer in by_customer})
        assert len(by_customer) == USERS
        unused = shop.customers.count_documents({"used": {"$type": "int"}})
        print(environment.stats.total.num_requests, unused)
        assert environment.stats.total.num_requests == 2 * USERS * ORDERS


if __name__ == "__main__":
    main(sys.argv[1])
