"""Fork a process with a transaction log in a file, and one in memory.

Arguments: path, URI, database. Prints what parent and child found.
"""

import json
import os
import sys

from pymongo.errors import ConfigurationError

from ferromongo import MongoClient, TransactionLog


def main():
    path, uri, database = sys.argv[1:]
    log, memory = TransactionLog(path), TransactionLog()
    client = MongoClient(uri, transaction_log=log)
    other = MongoClient(uri, transaction_log=memory)
    client[database].c.insert_one({})
    transaction(client, database)
    transaction(other, database)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = {"child": type(caught(lambda: transaction(client, database))).__name__}
            transaction(other, database)
            answer["memory"] = outcomes(memory)
            os.write(writing, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(writing)
    answer = json.loads(os.read(reading, 10000))
    os.waitpid(child, 0)
    transaction(client, database)
    answer["parent"] = outcomes(log)
    # The child had the descriptor too, and has not let go of the lock.
    refused = caught(lambda: TransactionLog(path))
    answer["locked"] = isinstance(refused, ConfigurationError)
    client.close()
    other.close()
    log.close()
    print(json.dumps(answer))


def transaction(client, database):
    with client.start_session() as session, session.start_transaction():
        client[database].c.insert_one({}, session=session)


def outcomes(log):
    return [entry.outcome for entry in log]


def caught(call):
    try:
        call()
    except Exception as error:
        return error
    return None


main()
