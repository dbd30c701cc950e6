#!/usr/bin/python3
"""The object stores, the faulty proxy and the credential endpoint that the tests of backups lean on
do what those tests believe of them."""

import contextlib
import dataclasses
import functools
import http.client
import http.server
import json
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
import urllib.error
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from ecs_credentials import EcsCredentials  # noqa: E402
from faulty_proxy import FaultyProxy  # noqa: E402
from object_server import NotStarted, ObjectServer, reserved_ports  # noqa: E402
from processes import wait_until  # noqa: E402
from radosgw import Radosgw  # noqa: E402
from s3_faults import (CutReply, CutRequest, Delay, FlipBit, FlipUploadedBit, Hang,  # noqa: E402
                       LoseReply, LoseRequest, Throttle, Truncate, TruncateUpload,
                       clock_skewed, expired_token, internal_error, slow_down)
from sigv4 import Client, Credentials, S3Error, sign  # noqa: E402
from swift import Swift  # noqa: E402

BUCKET = "satchel"
PATIENCE_S = 0.3  # of a client that is to give up
LOST = (OSError, http.client.HTTPException)
EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
SERVERS = {}  # by their class; started once for the whole file


def setUpModule():
    for kind in (Radosgw, Swift):
        directory = unittest.enterModuleContext(tempfile.TemporaryDirectory(prefix="satchel-s3-"))
        server = unittest.enterModuleContext(kind(directory))
        server.make_bucket(BUCKET)
        SERVERS[kind] = server
        memory = server.memory_kib()
        parts = ", ".join(f"{name} {kib >> 10}" for name, kib in memory.items())
        print(f"  {kind.__name__.lower()} was up after {server.start_s:.1f} s with "
              f"{sum(memory.values()) >> 10} MiB ({parts})")


def refusal(function, *arguments):
    """The S3Error that a call has to end with."""
    try:
        result = function(*arguments)
    except S3Error as reason:
        return reason
    raise AssertionError(f"not refused: {result!r}")


def on_each_server(test):
    """The test runs with one server after the other, each as a subtest."""
    @functools.wraps(test)
    def run(self):
        for kind, server in SERVERS.items():
            with self.subTest(kind.__name__):
                test(self, server)
    return run


class Signer(unittest.TestCase):
    def test_it_gives_the_signature_of_the_published_example(self):
        # Amazon S3 API reference, "Signature calculations: transferring payload in a single chunk".
        credentials = Credentials("AKIAIOSFODNN7EXAMPLE",
                                  "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
        header = sign(credentials, "us-east-1", "s3", "GET", "/test.txt", "",
                      {"host": "examplebucket.s3.amazonaws.com", "range": "bytes=0-9",
                       "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": "20130524T000000Z"})
        self.assertTrue(header.endswith(
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"))


class Servers(unittest.TestCase):
    @on_each_server
    def test_what_is_put_is_listed_and_read_until_it_is_deleted(self, server):
        client = server.client()
        values = {f"all/{name}": bytes([number]) * 1000 for number, name in
                  enumerate(("plain", "a b+c=d&e@f:%41~é", "deep/er", "x<y>"))}
        for key, value in values.items():
            client.put(BUCKET, key, value)
        client.put(BUCKET, "alone", b"")
        self.assertEqual(client.list(BUCKET, "all/"), dict.fromkeys(values, 1000))
        for key, value in values.items():
            self.assertEqual(client.get(BUCKET, key), value)
        self.assertEqual(client.get(BUCKET, "all/plain", {"Range": "bytes=10-19"}), bytes(10))
        for key in (*values, "alone"):
            client.delete(BUCKET, key)
        self.assertEqual(client.list(BUCKET, "all/"), {})
        self.assertEqual(refusal(client.get, BUCKET, "alone").code, "NoSuchKey")

    @on_each_server
    def test_a_list_of_several_pages_is_whole(self, server):
        client = server.client(page_keys=2)
        keys = [f"page/{number}" for number in range(5)]
        for key in keys:
            client.put(BUCKET, key, b"1")
        self.assertEqual(list(client.list(BUCKET, "page/")), keys)

    @on_each_server
    def test_the_gateway_of_ceph_honours_a_condition_and_swift_says_that_it_does_not(self, server):
        client = server.client()
        client.put(BUCKET, "once", b"first")
        second = refusal(client.put, BUCKET, "once", b"second", {"If-None-Match": "*"})
        self.assertEqual((second.status, second.code),
                         (412, "PreconditionFailed") if isinstance(server, Radosgw)
                         else (501, "NotImplemented"))
        self.assertEqual(client.get(BUCKET, "once"), b"first")

    def test_of_those_who_put_under_the_same_condition_one_wins(self):
        client = SERVERS[Radosgw].client()
        for number in range(20):
            outcomes = []

            def put(name, key=f"race/{number}", outcomes=outcomes):
                try:
                    client.put(BUCKET, key, name, {"If-None-Match": "*"})
                    outcomes.append(name)
                except S3Error as reason:
                    outcomes.append(reason.status)

            threads = [threading.Thread(target=put, args=(bytes([at]),)) for at in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            winners = [outcome for outcome in outcomes if outcome != 412]
            self.assertEqual(winners, [client.get(BUCKET, f"race/{number}")])
            self.assertEqual(len(outcomes), 4)

    @on_each_server
    def test_a_wrong_secret_and_a_wrong_clock_are_refused(self, server):
        wrong = server.client(Credentials(server.access_key, "wrong"))
        self.assertEqual(refusal(wrong.list, BUCKET).status, 403)
        late = server.client(clock=lambda: time.time() - 3600)
        self.assertEqual(refusal(late.list, BUCKET).code, "RequestTimeTooSkewed")
        self.assertEqual(server.client().list(BUCKET, "nothing/"), {})

    def test_temporary_credentials_end(self):
        server = SERVERS[Radosgw]
        begin_s = time.monotonic()
        client = server.client(server.assume_role(6))
        client.put(BUCKET, "by-role", b"1")
        without_token = dataclasses.replace(client.credentials, token=None)
        self.assertEqual(refusal(server.client(without_token).list, BUCKET).status, 403)

        def is_refused():
            try:
                client.get(BUCKET, "by-role")
                return None
            except S3Error as reason:
                return reason

        self.assertEqual(wait_until(is_refused, "the credentials expire").status, 403)
        self.assertGreater(time.monotonic() - begin_s, 4)  # its clock counts whole seconds
        self.assertEqual(server.client(server.assume_role(5)).get(BUCKET, "by-role"), b"1")

    def test_a_bucket_can_be_part_of_the_name_of_the_host(self):
        server = SERVERS[Radosgw]
        server.client().put(BUCKET, "by-host", b"1")
        client = server.client()
        client.host = client.host.replace("127.0.0.1", f"{BUCKET}.localhost")
        self.assertEqual(client.request("GET", "/by-host").body, b"1")

    @on_each_server
    def test_a_paused_gateway_answers_when_it_is_resumed(self, server):
        server.client().put(BUCKET, "paused", b"1")
        server.pause()
        try:
            with self.assertRaises(TimeoutError):
                server.client(deadline_s=PATIENCE_S).get(BUCKET, "paused")
        finally:
            server.resume()
        self.assertEqual(server.client().get(BUCKET, "paused"), b"1")

    @on_each_server
    def test_a_stopped_gateway_refuses_connections_and_keeps_its_objects(self, server):
        server.client().put(BUCKET, "stopped", b"1")
        server.stop_gateway()
        with self.assertRaises(ConnectionRefusedError):
            server.client().get(BUCKET, "stopped")
        server.start_gateway()
        self.assertEqual(server.client().get(BUCKET, "stopped"), b"1")

    def test_a_part_that_does_not_come_up_says_why(self):
        class Broken(ObjectServer):
            def start(self):
                self.launch("broken", "/bin/sh", "-c", "echo no room here; exit 3")
                self.wait_until(lambda: False, "it listens")

        with tempfile.TemporaryDirectory() as directory:
            with self.assertRaisesRegex(NotStarted, "(?s)it listens.*ended with 3.*no room here"):
                self.enterContext(Broken(directory))

    def test_a_port_is_given_to_one_at_a_time(self):
        few = unittest.mock.patch("object_server.PORTS", range(20000, 20100))
        with few, reserved_ports(40) as first, reserved_ports(40) as second:
            self.assertEqual(len({*first, *second}), 80)
            with self.assertRaises(NotStarted), reserved_ports(40):
                pass


class Faults(unittest.TestCase):
    """Seen by a plain client through a proxy before the gateway of Ceph."""

    def setUp(self):
        self.server = SERVERS[Radosgw]
        self.proxy = self.enterContext(FaultyProxy(self.server.endpoint))
        self.client = self.server.client(endpoint=self.proxy.endpoint)
        self.direct = self.server.client()
        self.value = bytes(range(256)) * 4096  # 1 MiB
        self.key = self.id().rpartition(".")[2]
        self.direct.put(BUCKET, self.key, self.value)

    def last(self):
        return self.proxy.requests()[-1]

    def test_without_faults_everything_arrives_and_is_written_down(self):
        for server in SERVERS.values():
            with FaultyProxy(server.endpoint) as proxy:
                client = server.client(endpoint=proxy.endpoint)
                client.put(BUCKET, "through", self.value)
                self.assertEqual(client.get(BUCKET, "through"), self.value)
                self.assertEqual(client.list(BUCKET, "through"), {"through": len(self.value)})
                self.assertEqual(client.request("HEAD", f"/{BUCKET}/through").status, 200)
                client.delete(BUCKET, "through")
                self.assertEqual(
                    [(each.method, each.status, each.request_bytes) for each in proxy.requests()],
                    [("PUT", 200, len(self.value)), ("GET", 200, 0), ("GET", 200, 0),
                     ("HEAD", 200, 0), ("DELETE", 204, 0)])
                self.assertEqual(proxy.requests(method="GET", path="/through$")[0].reply_bytes,
                                 len(self.value))
                self.assertIn("x-amz-date", proxy.requests()[0].headers)
                proxy.forget()
                self.assertEqual(proxy.requests(), [])

    def test_one_connection_carries_many_requests_and_outlives_the_gateway(self):
        address = self.proxy.endpoint.removeprefix("http://")
        connection = self.enterContext(contextlib.closing(http.client.HTTPConnection(address)))
        for turn in range(3):
            connection.request("GET", "/")
            reply = connection.getresponse()
            self.assertEqual((reply.status, b"ListAllMyBuckets" in reply.read()), (200, True))
            if turn == 1:
                self.server.stop_gateway()
                self.server.start_gateway()
        connection.request("PUT", f"/{BUCKET}/nobody", body=self.value,
                           headers={"Expect": "100-continue"})
        self.assertEqual(connection.getresponse().status, 403)

    def test_the_proxy_is_nearly_as_fast_as_what_is_behind_it(self):
        big = bytes(64 << 20)

        def measure(client):
            begin_s = time.monotonic()
            client.put(BUCKET, "big", big)
            self.assertEqual(len(client.get(BUCKET, "big")), len(big))
            return 2 * len(big) / (time.monotonic() - begin_s) / 1e6

        direct, through = measure(self.direct), measure(self.client)
        print(f"  {through:.0f} MB/s through the proxy, {direct:.0f} MB/s without")
        self.direct.delete(BUCKET, "big")
        self.assertGreater(through, direct / 4)

    def test_delay(self):
        self.proxy.add(Delay(PATIENCE_S), times=1)
        begin_s = time.monotonic()
        self.assertEqual(self.client.get(BUCKET, self.key), self.value)
        self.assertGreaterEqual(time.monotonic() - begin_s, PATIENCE_S)

    def test_throttle(self):
        self.proxy.add(Throttle(2 << 20))
        begin_s = time.monotonic()
        self.client.put(BUCKET, self.key, self.value)
        self.assertEqual(self.client.get(BUCKET, self.key), self.value)
        self.assertGreater(time.monotonic() - begin_s, 0.95)  # 2 MiB at 2 MiB/s

    def test_errors(self):
        for fault, status, code in ((internal_error(), 500, "InternalError"),
                                    (slow_down(), 503, "SlowDown"),
                                    (clock_skewed(), 403, "RequestTimeTooSkewed"),
                                    (expired_token(), 400, "ExpiredToken"),
                                    (expired_token(403), 403, "ExpiredToken")):
            self.proxy.add(fault, times=2)
            for _ in range(2):
                answer = refusal(self.client.put, BUCKET, "no", self.value)
                self.assertEqual((answer.status, answer.code), (status, code))
            self.assertEqual((self.last().status, self.last().upstream_status), (status, None))
            self.assertEqual(self.client.get(BUCKET, self.key), self.value)
        self.assertNotIn("no", self.direct.list(BUCKET))
        self.proxy.add(slow_down(), times=1)
        self.assertEqual(self.client.request("HEAD", f"/{BUCKET}/{self.key}").status, 503)

    def test_a_fault_finds_its_method_its_path_and_its_share(self):
        some = self.proxy.add(slow_down(), fraction=0.25, method="GET", path="share")
        statuses = [self.client.request("GET", f"/{BUCKET}/share").status for _ in range(100)]
        self.assertEqual(set(statuses), {404, 503})
        self.assertEqual(statuses.count(503), some.hits)
        self.assertTrue(10 < some.hits < 40, some.hits)
        for method, key, status in (("PUT", "share", 200), ("GET", "other", 404)):
            self.assertEqual({self.client.request(method, f"/{BUCKET}/{key}").status
                              for _ in range(20)}, {status})
        self.proxy.remove(some)
        self.assertEqual({self.client.request("GET", f"/{BUCKET}/share").status
                          for _ in range(20)}, {200})

    def test_refuse(self):
        address = self.proxy.endpoint.removeprefix("http://")
        with contextlib.closing(http.client.HTTPConnection(address)) as connection:
            connection.request("GET", "/")
            connection.getresponse().read()
            self.proxy.refuse()
            with self.assertRaises(ConnectionRefusedError):
                self.client.get(BUCKET, self.key)
            with self.assertRaises(ConnectionError):
                connection.request("GET", "/")
                connection.getresponse()
        self.assertEqual(self.direct.get(BUCKET, self.key), self.value)
        self.proxy.accept()
        self.assertEqual(self.client.get(BUCKET, self.key), self.value)

    def impatient(self):
        return self.server.client(endpoint=self.proxy.endpoint, deadline_s=PATIENCE_S)

    def test_hang(self):
        for is_reached in (False, True):
            key = f"{self.key}-{is_reached}"
            hang = self.proxy.add(Hang(reached=is_reached), times=1)
            with self.assertRaises(TimeoutError):
                self.impatient().put(BUCKET, key, b"1")
            if is_reached:
                wait_until(lambda: self.last().upstream_status == 200, "the server has done it")
            self.assertEqual(key in self.direct.list(BUCKET), is_reached)
            self.assertEqual((self.last().status, self.last().upstream_status),
                             (None, 200 if is_reached else None))
            self.proxy.remove(hang)

    def test_a_hanging_connection_is_cut_when_the_fault_goes(self):
        hang = self.proxy.add(Hang())
        timer = threading.Timer(PATIENCE_S, self.proxy.remove, [hang])
        timer.start()
        with self.assertRaises(ConnectionResetError) as raised:
            self.client.get(BUCKET, self.key)
        self.assertIs(type(raised.exception), ConnectionResetError)  # and no orderly end
        timer.join()
        self.assertEqual(self.client.get(BUCKET, self.key), self.value)

    def test_the_proxy_ends_whatever_still_waits_in_it(self):
        for fault in (Hang(), Delay(3600), None):  # None: the gateway itself
            with FaultyProxy(self.server.endpoint) as proxy:
                if fault is not None:
                    proxy.add(fault)
                else:
                    self.server.pause()
                    self.addCleanup(self.server.resume)
                client = self.server.client(endpoint=proxy.endpoint, deadline_s=PATIENCE_S)
                with self.assertRaises(TimeoutError):
                    client.put(BUCKET, self.key, self.value)

    def test_a_put_that_is_lost_was_done_or_not(self):
        for fault, status, is_there in ((LoseReply(), 200, True), (LoseRequest(), None, False),
                                        (CutRequest(100 << 10), None, False),
                                        (CutRequest(len(self.value)), 200, True)):
            key = f"{self.key}-{fault}-{status}"
            self.proxy.add(fault, times=1)
            with self.assertRaises(ConnectionError):
                self.client.put(BUCKET, key, self.value)
            self.assertEqual((self.last().status, self.last().upstream_status), (None, status))
            self.assertEqual(key in self.direct.list(BUCKET), is_there)
        self.assertEqual([each.request_bytes for each in self.proxy.requests()],
                         [len(self.value), 0, 100 << 10, len(self.value)])

    def test_a_reply_is_cut_off(self):
        self.proxy.add(CutReply(300_000), times=1)
        with self.assertRaises(http.client.IncompleteRead) as raised:
            self.client.get(BUCKET, self.key)
        self.assertEqual(raised.exception.partial, self.value[:300_000])
        self.assertEqual((self.last().status, self.last().reply_bytes), (200, 300_000))

    def test_objects_are_truncated_or_flipped_and_errors_are_not(self):
        self.proxy.add(Truncate(700_000), times=1)
        self.assertEqual(self.client.get(BUCKET, self.key), self.value[:700_000])
        for fault, at in ((FlipBit(), len(self.value) // 2), (FlipBit(0), 0),
                          (FlipBit(1_000_000), 1_000_000)):
            self.proxy.add(fault, times=1)
            read = self.client.get(BUCKET, self.key)
            wrong = [place for place in range(len(read)) if read[place] != self.value[place]]
            self.assertEqual((wrong, read[at] ^ self.value[at]), ([at], 1))
        for fault in (Truncate(3), FlipBit()):
            self.proxy.add(fault, times=1)
            self.assertEqual(refusal(self.client.get, BUCKET, "none").code, "NoSuchKey")
        self.assertEqual(self.direct.get(BUCKET, self.key), self.value)

    def test_a_body_that_was_damaged_on_its_way_is_refused(self):
        for damage in (FlipUploadedBit(), TruncateUpload()):
            self.proxy.add(damage, method="PUT")
            answer = refusal(self.client.put, BUCKET, self.key, b"value")
            self.assertEqual((answer.status, answer.code), (400, "XAmzContentSHA256Mismatch"))
            self.assertEqual(self.direct.get(BUCKET, self.key), self.value)
            self.proxy.clear()

    def test_a_body_behind_the_reply_to_a_head_spoils_nothing(self):
        """Swift sends one with its errors."""
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):  # pylint: disable=invalid-name
                self.send_response(404)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"gone\n")

            def log_message(self, *_):  # pylint: disable=arguments-differ
                pass

        server = self.enterContext(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        proxy = self.enterContext(FaultyProxy(f"http://127.0.0.1:{server.server_port}"))
        for connection in [http.client.HTTPConnection(proxy.endpoint.removeprefix("http://"))
                           for _ in range(3)]:
            with contextlib.closing(connection):
                for _ in range(20):
                    connection.request("HEAD", "/")
                    reply = connection.getresponse()
                    self.assertEqual((reply.status, reply.read()), (404, b""))

    def test_what_is_cut_off_from_a_list_is_noticed_too(self):
        """Lists come in chunks, without a length."""
        self.proxy.add(CutReply(100), times=1)
        with self.assertRaises(LOST):
            self.client.list(BUCKET)


class Credentialing(unittest.TestCase):
    def setUp(self):
        self.given = Credentials("AK", "SK", "TOKEN", "2030-01-02T03:04:05Z")
        self.ecs = self.enterContext(EcsCredentials(lambda: self.given, token="let me in"))

    def fetch(self, path="", token="let me in", deadline_s=30):
        """The status and the JSON."""
        request = urllib.request.Request(self.ecs.uri + path)
        if token:
            request.add_header("Authorization", token)
        try:
            with urllib.request.urlopen(request, timeout=deadline_s) as reply:
                return reply.status, json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def test_it_hands_out_what_it_is_given(self):
        status, given = self.fetch()
        self.assertEqual((status, given["AccessKeyId"], given["SecretAccessKey"], given["Token"],
                          given["Expiration"]),
                         (200, "AK", "SK", "TOKEN", "2030-01-02T03:04:05Z"))
        self.given = Credentials("AK2", "SK2", "TOKEN2", "2030-01-02T03:04:06Z")
        self.assertEqual(self.fetch()[1]["AccessKeyId"], "AK2")
        self.assertEqual(self.ecs.requests, 2)

    def test_it_refuses_a_wrong_token_and_a_wrong_path(self):
        self.assertEqual([self.fetch(token="let him in")[0], self.fetch(token=None)[0],
                          self.fetch("/more")[0], self.fetch()[0]], [403, 403, 404, 200])
        self.assertEqual((self.ecs.requests, self.ecs.refused), (4, 2))

    def test_it_fails_as_often_as_it_is_told(self):
        self.ecs.fail(times=2, status=429, code="Throttled")
        answers = [self.fetch() for _ in range(3)]
        self.assertEqual([status for status, _ in answers], [429, 429, 200])
        self.assertEqual(answers[0][1]["code"], "Throttled")

    def test_it_hangs_until_it_is_resumed(self):
        self.ecs.hang()
        with self.assertRaises(TimeoutError):
            self.fetch(deadline_s=PATIENCE_S)
        timer = threading.Timer(PATIENCE_S, self.ecs.resume)
        timer.start()
        self.assertEqual(self.fetch()[0], 200)
        timer.join()

    def test_a_program_is_told_where_it_is(self):
        self.assertEqual(self.ecs.environment(), {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": self.ecs.uri,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": "let me in"})
        self.assertIn("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", self.ecs.environment("/token"))

    def test_it_hands_out_credentials_that_the_gateway_accepts(self):
        server = SERVERS[Radosgw]
        self.ecs.hand_out = lambda: server.assume_role(30)
        given = self.fetch()[1]
        client = Client(server.endpoint, Credentials(given["AccessKeyId"],
                                                     given["SecretAccessKey"], given["Token"]))
        client.put(BUCKET, "by-container", b"1")
        self.assertEqual(client.get(BUCKET, "by-container"), b"1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
