#!/usr/bin/python3
"""sigv4_vectors.py > sigv4_vectors.json: signatures by botocore, which the signer's test compares with.

Needs the package python3-botocore. Equal on every run: seed and times are fixed.
"""

import datetime
import hashlib
import json
import random
import sys
from unittest import mock
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

COUNT = 160
RANDOM = random.Random(20130524)
ODD = " !\"#$%&'()*+,-./0:;<=>?@A[\\]^_`a{|}~é€😀\u00a0%41%2F//..;=&+\t"
PREFIXED = ["x-amz-meta-xxh3", "x-amz-meta-xxh3-128", "x-amz-meta-xxh3.a", "X-Amz-Meta-XXH3_b",
            "range", "if-none-match", "Content-Type", "x-amz-storage-class", "content-md5",
            "x-amz-acl", "x-amz", "x-amz-a"]
METHODS = ["GET", "PUT", "DELETE", "HEAD", "POST"]
PARAMETERS = ["list-type", "prefix", "continuation-token", "start-after", "max-keys", "uploads",
              "uploadId", "partNumber", "encoding-type", "delimiter", "a", "a-", "a.b", "A", "aa", "é"]


def odd_text(least, most):
    return "".join(RANDOM.choice(ODD) for _ in range(RANDOM.randint(least, most)))


def header_value():
    words = ["bytes=0-9", "*", "a", "b  c", " lead", "trail ", "x\ty", "é", "=", "ä,b"]
    return " ".join(RANDOM.choice(words) for _ in range(RANDOM.randint(1, 3)))


class Signer(botocore.auth.S3SigV4Auth):
    """Takes the hash of the body as given."""

    hashed = None

    def payload(self, request):
        return self.hashed


def sign(vector):
    token = vector["token"]
    url = f"https://{vector['host']}{quote(vector['path'], safe='/~')}"
    request = AWSRequest(method=vector["method"], url=url, params=dict(vector["query"]),
                         headers=dict(vector["headers"]))
    signer = Signer(Credentials(vector["key_id"], vector["secret"], token), "s3", vector["region"])
    signer.hashed = vector["payload_hash"]
    # botocore reads the clock itself.
    with mock.patch.object(botocore.auth, "datetime", wraps=datetime) as clock:
        clock.datetime = mock.Mock(wraps=datetime.datetime)
        clock.datetime.utcnow.return_value = datetime.datetime.utcfromtimestamp(vector["time_s"])
        signer.add_auth(request)
    authorization = request.headers["Authorization"]
    return {"date": request.context["timestamp"], "authorization": authorization.replace(", ", ",")}


def vector_of(index):
    names = RANDOM.sample(PARAMETERS, RANDOM.randint(0, 5))
    headers = RANDOM.sample(PREFIXED, RANDOM.randint(0, 5))
    if index % 4 == 0:  # always some with one name the beginning of another
        headers = ["x-amz-meta-xxh3-128", "x-amz-meta-xxh3", *headers[:1]]
        headers = list(dict.fromkeys(headers))
    host = RANDOM.choice(["examplebucket.s3.amazonaws.com", "127.0.0.1:9000", "s3.eu-west-1.amazonaws.com"])
    body = odd_text(0, 40).encode()
    vector = {
        "method": RANDOM.choice(METHODS),
        "host": host,
        "path": "/" + odd_text(0, 30),
        "query": [[name, odd_text(0, 12)] for name in names],
        "headers": [[name, header_value()] for name in headers],
        "payload_hash": RANDOM.choice([hashlib.sha256(body).hexdigest(), "UNSIGNED-PAYLOAD"]),
        "region": RANDOM.choice(["us-east-1", "eu-central-1", "local"]),
        "key_id": RANDOM.choice(["AKIDEXAMPLE", "test:tester", "AK"]),
        "secret": RANDOM.choice(["wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "testing", "s" * 256]),
        "token": RANDOM.choice([None, "FwoGZXIvYXdzEXAMPLE//" + "t" * RANDOM.randint(1, 900) + "=="]),
        "time_s": RANDOM.randrange(0, 4102444800),
    }
    return vector | sign(vector)


def main():
    vectors = [vector_of(index) for index in range(COUNT)]
    print("[")
    print(",\n".join(json.dumps(vector) for vector in vectors))
    print("]")
    return 0


sys.exit(main())
