"""Use a client in a signal handler while the same thread waits for a connection of another.

Arguments: URI, database. Prints what the interrupted call answered.
"""

import json
import signal
import sys
import threading
import time

from tests.drivers import package


def main(uri, database):
    client = package.MongoClient(uri, maxPoolSize=1)
    collection = client[database].c
    collection.insert_one({"_id": 1})

    def handle(*_):
        time.sleep(1)  # by now the connection has been handed over, and the wake-up has come
        with package.MongoClient(uri) as other:
            other.admin.command("ping")

    signal.signal(signal.SIGALRM, handle)
    query = {"$where": "sleep(700) || true"}
    slow = threading.Thread(target=collection.find_one, args=(query,))
    slow.start()
    time.sleep(0.2)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    print(json.dumps(collection.find_one()))
    slow.join()
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
