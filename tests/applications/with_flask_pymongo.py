"""Flask-PyMongo: a Flask application on a database, with files in GridFS."""

import io
import sys

from flask import Blueprint, Flask, jsonify, request
from flask_pymongo import PyMongo

mongo = PyMongo()
pages = Blueprint("pages", __name__)


@pages.post("/orders")
def add_order():
    return str(mongo.db.orders.insert_one(request.get_json()).inserted_id), 201


@pages.get("/orders/<ObjectId:order>")
def one_order(order):
    return jsonify(mongo.db.orders.find_one_or_404({"_id": order}, {"_id": False}))


@pages.get("/total")
def total():
    rows = mongo.db.orders.aggregate([{"$group": {"_id": "$user", "sum": {"$sum": "$total"}}}])
    return jsonify({row["_id"]: row["sum"] for row in rows})


@pages.post("/files/<name>")
def save(name):
    mongo.save_file(name, request.files["file"])
    return "saved"


@pages.get("/files/<name>")
def send(name):
    return mongo.send_file(name)


def main(uri: str) -> None:
    app = Flask(__name__)
    mongo.init_app(app, uri=uri.replace("/?", "/flask_pymongo?"))
    app.register_blueprint(pages)
    web = app.test_client()
    orders = [web.post("/orders", json={"user": "Ada", "total": n}).text for n in (3, 4)]
    print(len(set(orders)), web.get(f"/orders/{orders[1]}").json, web.get("/total").json)
    assert web.get("/total").json == {"Ada": 7}
    print(web.get("/orders/" + "0" * 24).status, web.get("/orders/no").status)
    print(sorted(mongo.db.list_collection_names()), type(mongo.db).__name__)

    content = b"some bytes " * 50_000
    web.post("/files/f.bin", data={"file": (io.BytesIO(content), "f.bin")})
    answer = web.get("/files/f.bin")
    print(answer.status, answer.content_length, answer.data == content)
    assert answer.data == content
    print(web.get("/files/none").status)
    mongo.cx.close()


if __name__ == "__main__":
    main(sys.argv[1])
