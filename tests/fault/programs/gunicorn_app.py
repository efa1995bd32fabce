"""A WSGI application on a blocking client. A request ends once five were there at a time."""

import json
import os

from tests.drivers import package
from tests.fault.programs.greenlet_tools import slow

client = package.MongoClient(os.environ["GUNICORN_URI"])
under_way = {"now": 0, "most": 0}


def application(environ, start_response):
    under_way["now"] += 1
    under_way["most"] = max(under_way.values())
    while under_way["most"] < 5:
        slow(client, 50)
    under_way["now"] -= 1
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"worker": os.getpid(), **under_way}).encode()]
