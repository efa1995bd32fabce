"""Flask-Session: a Flask application whose sessions are in MongoDB."""

import sys

from flask import Flask, session
from flask_session import Session
from pymongo import MongoClient

app = Flask(__name__)


@app.get("/visit")
def visit():
    session["visits"] = session.get("visits", 0) + 1
    return str(session["visits"])


@app.get("/leave")
def leave():
    session.clear()
    return "left"


def main(uri: str) -> None:
    with MongoClient(uri) as client:
        app.config.update(
            SESSION_TYPE="mongodb", SESSION_MONGODB=client, SESSION_MONGODB_DB="flask_session"
        )
        Session(app)
        print(app.session_interface.client is client)
        ada, ben = app.test_client(), app.test_client()
        visits = [web.get("/visit").text for web in (ada, ben, ada, ada)]
        stored = client.flask_session.sessions
        print(visits, stored.count_documents({}), sorted(stored.index_information()))
        assert visits == ["1", "1", "2", "3"]
        print(ada.get("/leave").text, stored.count_documents({}), ada.get("/visit").text)


if __name__ == "__main__":
    main(sys.argv[1])
