"""The endpoint from which a container on ECS gets its temporary credentials, for tests.

    with EcsCredentials(lambda: server.assume_role(12), token="let me in") as ecs:
        program = start(environment=ecs.environment())
        ecs.fail(times=2)           # the next two requests get a 500
        ecs.hang()                  # requests wait until
        ecs.resume()
        ecs.requests                # how many came, whatever they got

On Fargate the container is given a path below http://169.254.170.2; here it is given the whole URI,
which clients allow for loopback.
"""

import contextlib
import http.server
import json
import threading

ROLE_ARN = "arn:aws:iam:::role/task"


class EcsCredentials:
    """Listens on a port of 127.0.0.1 that the kernel chose. May be used by any thread."""

    def __init__(self, hand_out, token=None):
        """`hand_out()` returns the Credentials (sigv4.py) for a request and runs on the request's
        thread; `token` is what the Authorization header has to be (None: any or none). Both may be
        replaced later."""
        self.hand_out = hand_out
        self.token = token
        self.relative_uri = "/v2/credentials/4f5c2d1e-0000-4000-8000-000000000000"
        self.changed = threading.Condition()  # guards what follows
        self.requests = 0
        self.refused = 0  # because of a wrong token
        self.failures_left = 0
        self.failure = (500, "")
        self.is_hanging = False

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.uri = f"http://127.0.0.1:{self.server.server_port}{self.relative_uri}"
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.resume()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def environment(self, token_file=None):
        """The variables that tell a program about it. `token_file`: the program is to read the
        token from that file, which is for the caller to write."""
        variables = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": self.uri}
        if token_file is not None:
            variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = token_file
        elif self.token is not None:
            variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = self.token
        return variables

    def fail(self, times, status=500, code="InternalServerError"):
        """The next requests get an error instead."""
        with self.changed:
            self.failures_left = times
            self.failure = (status, code)

    def hang(self):
        """From now on requests get no answer; those that wait get theirs after resume()."""
        with self.changed:
            self.is_hanging = True

    def resume(self):
        with self.changed:
            self.is_hanging = False
            self.changed.notify_all()

    def answer(self, path, authorization):
        """The status and the object that is sent as JSON."""
        with self.changed:
            self.requests += 1
            self.changed.wait_for(lambda: not self.is_hanging)
            if path != self.relative_uri:
                return 404, error("NotFound", "there is nothing at this path")
            if self.token is not None and authorization != self.token:
                self.refused += 1
                return 403, error("AccessDenied", "wrong authorization token")
            if self.failures_left > 0:
                self.failures_left -= 1
                status, code = self.failure
                return status, error(code, "told to fail")
        credentials = self.hand_out()
        return 200, {"AccessKeyId": credentials.access_key,
                     "SecretAccessKey": credentials.secret_key, "Token": credentials.token,
                     "Expiration": credentials.expiration, "RoleArn": ROLE_ARN}

    def _handler(self):
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # pylint: disable=invalid-name
                status, value = endpoint.answer(self.path, self.headers["Authorization"])
                body = json.dumps(value).encode()
                with contextlib.suppress(ConnectionError):  # the client has given up
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        return Handler


def error(code, message):
    return {"code": code, "message": message}
