#!/usr/bin/python3
"""Flask with Flask-Session and redis-py. In the environment: STORE (HOST:PORT), TTL_S."""

import os
import signal
import sys

import flask
import redis
from flask import request, session
from flask_session import Session, __version__ as flask_session_version
from werkzeug.serving import make_server

host, port = os.environ["STORE"].split(":")
app = flask.Flask(__name__)
app.config.update(
    SESSION_TYPE="redis",
    SESSION_REDIS=redis.Redis(host=host, port=int(port)),
    PERMANENT_SESSION_LIFETIME=int(os.environ["TTL_S"]),
)
Session(app)


@app.get("/versions")
def versions():
    series = ".".join(flask.__version__.split(".")[:2])
    return f"redis-py {redis.__version__}\nFlask {series}, Flask-Session {flask_session_version}"


@app.post("/login")
def login():
    session["user"] = request.args["user"]
    session["count"] = 0
    return session["user"]


@app.get("/whoami")
def whoami():
    return session.get("user", "nobody")


@app.post("/count")
def count():
    session["count"] += 1
    return str(session["count"])


@app.post("/logout")
def logout():
    session.clear()
    return "bye"


def main():
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"listening listen=127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()


main()
