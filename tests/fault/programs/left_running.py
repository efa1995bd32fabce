"""End the program while daemon threads wait in blocking calls. Arguments: URI, database."""

import json
import sys
import threading
import time

from tests.drivers import package


def main(uri, database):
    client = package.MongoClient(uri)
    client[database].c.insert_many([{} for _ in range(2000)])
    for _ in range(4):
        query = client[database].c.find_one
        slow = ({"$where": "sleep(10)"},)
        threading.Thread(target=query, args=slow, daemon=True).start()
    time.sleep(0.5)
    # The interpreter takes its time to end: the threads wake up meanwhile, and find no way back.
    sys.modules["last thing to go"] = Slow()
    print(json.dumps(threading.active_count()))


class Slow:
    def __del__(self):
        time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
