"""kombu: messages through MongoDB, its `mongodb` transport."""

import sys

from kombu import Connection, Exchange, Queue

orders = Exchange("orders", "topic", durable=True)
news = Exchange("news", "fanout")


def main(uri: str) -> None:
    with Connection(uri.replace("/?", "/kombu?")) as connection:
        channel = connection.channel()
        paid = Queue("paid", orders, routing_key="order.paid.#", channel=channel)
        every = Queue("every", orders, routing_key="order.#", channel=channel)
        for queue in (paid, every):
            queue.declare()
        producer = connection.Producer(channel, exchange=orders)
        for number, key in enumerate(("order.paid.card", "order.made", "order.paid")):
            producer.publish({"order": number}, routing_key=key, serializer="json")
        print(paid.queue_declare(passive=True).message_count, taken(every), taken(paid))

        by_priority = Queue("urgent", channel=channel, queue_arguments={"x-max-priority": 10})
        by_priority.declare()
        direct = connection.Producer(channel)
        for priority in (1, 9, 5):
            direct.publish(priority, routing_key="urgent", priority=priority)
        print("by priority", taken(by_priority))

        producer.publish("again", routing_key="order.made")
        every.get().requeue()
        print("requeued", taken(every))

        listeners = [Queue(name, news, channel=channel) for name in ("ada", "ben")]
        heard = []
        with connection.Consumer(
            listeners, callbacks=[lambda body, message: heard.append(body)], no_ack=True
        ):
            connection.Producer(exchange=news).publish("extra!")
            try:
                while len(heard) < 2:
                    connection.drain_events(timeout=20)
            except TimeoutError:
                print("waited in vain")
        print("fanout", heard)
        assert heard == ["extra!", "extra!"]

        producer.publish("gone", routing_key="order.made")
        print("purged", every.purge(), every.get())
        print("collections", sorted(channel.client.list_collection_names()))


def taken(queue: Queue) -> list:
    bodies = []
    while message := queue.get():
        bodies.append(message.payload)
        message.ack()
    return bodies


if __name__ == "__main__":
    main(sys.argv[1])
