"""Calls of WSGI applications, with what happens at each step."""

import traceback
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator


class Answer:
    status = None
    body = b""
    at_start = None
    error = None


def call(app, path, method="POST", on_start=None):
    """The application's answer, which is checked against PEP 3333. By that the response starts with
    the first part of the body; `on_start` is called earlier, when the headers are known."""
    answer = Answer()
    environ = {"PATH_INFO": path, "REQUEST_METHOD": method, "SCRIPT_NAME": "", "QUERY_STRING": ""}
    setup_testing_defaults(environ)

    def start_response(status, headers, exc_info=None):
        assert answer.status is None or exc_info, "a second response"
        answer.status = int(status.split()[0])
        answer.at_start = on_start and on_start()

        def write(chunk):
            answer.body += chunk

        return write

    try:
        body = validator(app)(environ, start_response)
        try:
            for chunk in body:
                assert answer.status is not None, "a body without its start"
                answer.body += chunk
        finally:
            if hasattr(body, "close"):
                body.close()
    except Exception as error:
        # What a server does: it logs the error.
        traceback.print_exception(error)
        answer.error = error
        answer.status = answer.status or 500
    return answer
