"""Calls of ASGI applications, with what happens at each message."""

import asyncio
import traceback


class Answer:
    def __init__(self):
        self.status = None
        self.body = b""
        self.at_start = None
        """What `on_start` returned when the response started."""


async def call(app, path, method="POST", on_start=None, disconnected=None, spec="2.3", body=b""):
    """The application's answer. `disconnected` is set when the caller goes away."""
    answer, ended = Answer(), disconnected or asyncio.Event()
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if messages:
            return messages.pop()
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        if message["type"] == "http.response.start":
            assert answer.status is None, "a second response"
            answer.status = message["status"]
            answer.at_start = on_start and on_start()
        elif message["type"] == "http.response.body":
            assert answer.status is not None, "a body without its start"
            answer.body += message.get("body", b"")
            if not message.get("more_body"):
                ended.set()

    path, _, query = path.partition("?")
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": spec},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"shop"), (b"content-length", str(len(body)).encode())],
        "client": ("127.0.0.1", 1),
        "server": ("shop", 80),
        "state": {},
    }
    try:
        await app(scope, receive, send)
    except Exception as error:
        # What a server does: it logs the error.
        traceback.print_exception(error)
        answer.error = error
        answer.status = answer.status or 500
    return answer
