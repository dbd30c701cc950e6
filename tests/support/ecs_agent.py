"""The agent of ECS as a container sees it, for tests: task metadata (version 4), task protection.

    with EcsAgent() as agent:
        store.environment = agent.environment()
        store.start()
        agent.wait_for(lambda: agent.is_protected)
        agent.behave("hang")    # or "garbage", "error", "refuse", and "well" again

Only the paths that ECS hands out are served; everything else is an error that the test sees.
"""

import contextlib
import http.server
import json
import threading

from processes import DEADLINE_S

TASK_ID = "158d1c8083dd49d6b527399fd6414f5c"
TASK_ARN = f"arn:aws:ecs:eu-west-1:111122223333:task/shop/{TASK_ID}"
METADATA_PATH = "/v4/cd189a93-1111-2222-3333-444455556666"
AGENT_PATH = "/api/cd189a93-1111-2222-3333-444455556666"
METADATA = {
    "Cluster": "shop", "TaskARN": TASK_ARN, "Family": "satchel", "Revision": "26",
    "DesiredStatus": "RUNNING", "KnownStatus": "RUNNING", "AvailabilityZone": "eu-west-1d",
    "Limits": {"CPU": 0.5, "Memory": 1024}, "LaunchType": "FARGATE",
    "Containers": [{"Name": "store", "Image": "satchel", "Networks": [{"NetworkMode": "awsvpc"}]}],
}


class EcsAgent:
    """Listens on a port of 127.0.0.1 that the kernel chose. May be used by any thread."""

    def __init__(self):
        self.changed = threading.Condition()  # guards what follows
        self.manner = "well"
        self.metadata_asked = 0
        self.protections = []  # the bodies of all requests for protection, in order
        self.is_protected = False
        self.strangers = []  # requests that ECS does not know

    def __enter__(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.thread = threading.Thread(target=self.server.serve_forever,
                                       kwargs={"poll_interval": 0.02})
        self.thread.start()
        return self

    def __exit__(self, kind, value, trace):
        self.behave("well")
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def environment(self):
        """What ECS puts into each container's environment."""
        origin = f"http://127.0.0.1:{self.server.server_port}"
        return {"ECS_CONTAINER_METADATA_URI_V4": origin + METADATA_PATH,
                "ECS_AGENT_URI": origin + AGENT_PATH}

    def behave(self, manner):
        """How requests are answered from now on; those that hang get their answer."""
        with self.changed:
            self.manner = manner
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, DEADLINE_S), "the agent was not asked for that"

    def answer(self, method, path, body):
        """The status and the bytes of the answer."""
        with self.changed:
            if (method, path) == ("GET", METADATA_PATH + "/task"):
                self.metadata_asked += 1
            elif (method, path) == ("PUT", AGENT_PATH + "/task-protection/v1/state"):
                self.protections.append(json.loads(body))
            else:
                self.strangers.append((method, path))
                return 404, b"not found"
            self.changed.notify_all()
            self.changed.wait_for(lambda: self.manner != "hang")
            if self.manner == "garbage":
                return 200, b"\x00<html>{"
            if self.manner == "error":
                return 500, b'{"error": {"Code": "ServerException", "Message": "told to fail"}}'
            if method == "GET":
                return 200, json.dumps(METADATA).encode()
            if self.manner == "refuse":
                return 200, json.dumps({"failure": {"Arn": TASK_ARN, "Detail": None,
                                                    "Reason": "DEPLOYMENT_BLOCKED"}}).encode()
            self.is_protected = self.protections[-1]["ProtectionEnabled"]
            return 200, json.dumps({"protection": {"ProtectionEnabled": self.is_protected,
                                                   "TaskArn": TASK_ARN}}).encode()

    def _handler(self):
        agent = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self):
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                status, text = agent.answer(self.command, self.path, body)
                with contextlib.suppress(ConnectionError):  # the client has given up
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            do_GET = do_PUT = serve

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        return Handler
