"""Fork inside of an atomic() block. The child's operations, and its end of it, must do nothing.

Arguments: server's URI, database. Prints the documents, after the child wrote down what it got.
"""

import json
import os
import sys

import ferromongo
from ferromongo.errors import PyMongoError
from ferromongo.transaction import atomic, on_commit


def main(uri, database):
    with ferromongo.MongoClient(uri) as client:
        collection = client[database].c
        child = None
        try:
            with atomic(client):
                collection.insert_one({"_id": "parent 1"})
                child = os.fork()
                if child == 0:
                    on_commit(lambda: os._exit(1))
                    try:
                        collection.insert_one({"_id": "child"})
                        os._exit(2)
                    except PyMongoError:
                        pass
                else:
                    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
                    collection.insert_one({"_id": "parent 2"})
            if child == 0:
                os._exit(3)
        except PyMongoError:
            assert child == 0
            # Outside of the block the child is a client like others.
            os._exit(0 if collection.find_one({"_id": "child"}) is None else 4)
        print(json.dumps(list(collection.find().sort("_id"))))


if __name__ == "__main__":
    main(*sys.argv[1:])
