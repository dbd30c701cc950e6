"""Just enough of an S3 client for tests, with nothing but the standard library.

It makes buckets and looks into them, so that a test can see what the program under test has put
there, through code that shares no line with it. One connection a request: simple, and nothing that
a fault left behind on one can reach the next.

    client = Client(endpoint, Credentials("AK", "SK"))
    client.make_bucket("backup")
    client.put("backup", "log/1", b"...", {"If-None-Match": "*"})
    client.list("backup", "log/")       # {"log/1": 3}
    client.get("backup", "log/1")       # b"..."

What the server refuses is an S3Error; what the connection does not survive is an OSError or an
http.client.HTTPException.
"""

import collections
import dataclasses
import hashlib
import hmac
import http.client
import time
import urllib.parse
import xml.etree.ElementTree

ALGORITHM = "AWS4-HMAC-SHA256"
UNRESERVED = "-_.~"  # besides letters and digits: what a canonical request leaves as it is
DEADLINE_S = 30

Answer = collections.namedtuple("Answer", "status headers body")


class S3Error(Exception):
    """An answer other than success: `status`, and `code` and `message` of its XML if it had any."""

    def __init__(self, status, body):
        self.status = status
        fields = xml_fields(body, ("Code", "Message"))
        self.code = fields.get("Code", "")
        self.message = fields.get("Message", "")
        super().__init__(f"{status} {self.code}: {self.message}")


@dataclasses.dataclass(frozen=True)
class Credentials:
    """What requests are signed with. `token` and `expiration` (as the server wrote it: ISO 8601,
    UTC) belong to temporary ones."""

    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    token: str = dataclasses.field(default=None, repr=False)
    expiration: str = None


def xml_fields(body, names):
    """The texts of the first element of each name, wherever it is, without regard to namespaces."""
    fields = {}
    try:
        for element in xml.etree.ElementTree.fromstring(body).iter():
            name = element.tag.rpartition("}")[2]
            if name in names:
                fields.setdefault(name, element.text or "")
    except xml.etree.ElementTree.ParseError:
        pass  # a proxy's page, or nothing
    return fields


def canonical_query(query):
    """`query` (a dict of texts) as it has to be signed, and so as it is sent."""
    encoded = sorted((urllib.parse.quote(name, safe=UNRESERVED),
                      urllib.parse.quote(value, safe=UNRESERVED)) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in encoded)


def sign(credentials, region, service, method, path, query, headers):
    """The Authorization header of a request.

    `path` and `query` are encoded already. All `headers` are signed; `host`, `x-amz-date` and
    `x-amz-content-sha256` must be among them. The names are in lower case.
    """
    names = ";".join(sorted(headers))
    request = "\n".join([method, path, query,
                         *(f"{name}:{headers[name].strip()}" for name in sorted(headers)), "",
                         names, headers["x-amz-content-sha256"]])
    timestamp = headers["x-amz-date"]
    scope = f"{timestamp[:8]}/{region}/{service}/aws4_request"
    text = "\n".join([ALGORITHM, timestamp, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + credentials.secret_key).encode()
    for word in scope.split("/"):
        key = hmac.digest(key, word.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    return (f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}")


class Client:
    """Requests to one endpoint ("http://HOST:PORT"), path-style; several threads may use it."""

    def __init__(self, endpoint, credentials, region="us-east-1", deadline_s=DEADLINE_S,
                 clock=time.time, page_keys=1000):
        """`deadline_s` is how long each wait for the server may last; `clock` dates the requests;
        `page_keys` is how many keys a list is asked for at once."""
        self.address = endpoint.removeprefix("http://").rstrip("/")
        self.host = self.address  # what requests call the server; tests may set another name
        self.credentials = credentials
        self.region = region
        self.deadline_s = deadline_s
        self.clock = clock
        self.page_keys = page_keys

    def request(self, method, path, query=None, headers=None, body=b"", service="s3"):
        """Sends one request and returns the Answer, whatever its status. `path` is not encoded."""
        path = urllib.parse.quote(path, safe=UNRESERVED + "/")
        query = canonical_query(query or {})
        signed = {name.lower(): value for name, value in (headers or {}).items()}
        signed["host"] = self.host
        signed["x-amz-date"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self.clock()))
        signed["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
        if self.credentials.token:
            signed["x-amz-security-token"] = self.credentials.token
        signed["authorization"] = sign(self.credentials, self.region, service, method, path, query,
                                       signed)
        if body or method in ("PUT", "POST"):
            signed["content-length"] = str(len(body))
        connection = http.client.HTTPConnection(self.address, timeout=self.deadline_s)
        try:
            connection.putrequest(method, f"{path}?{query}" if query else path, skip_host=True,
                                  skip_accept_encoding=True)
            for name, value in signed.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def demand(self, method, path, *more, **named):
        """Like request(), but anything other than success is an S3Error."""
        answer = self.request(method, path, *more, **named)
        if not 200 <= answer.status < 300:
            raise S3Error(answer.status, answer.body)
        return answer

    def make_bucket(self, bucket):
        self.demand("PUT", f"/{bucket}")

    def put(self, bucket, key, body, headers=None):
        """Returns the ETag."""
        return self.demand("PUT", f"/{bucket}/{key}", headers=headers, body=body).headers["ETag"]

    def get(self, bucket, key, headers=None):
        return self.demand("GET", f"/{bucket}/{key}", headers=headers).body

    def delete(self, bucket, key):
        """Deleting what is not there is no error."""
        self.demand("DELETE", f"/{bucket}/{key}")

    def list(self, bucket, prefix=""):
        """All keys with the prefix, in the order of the server: {key: bytes}."""
        found = {}
        query = {"list-type": "2", "prefix": prefix, "encoding-type": "url",
                 "max-keys": str(self.page_keys)}
        while True:
            body = self.demand("GET", f"/{bucket}", query).body
            for element in xml.etree.ElementTree.fromstring(body).iter():
                if element.tag.rpartition("}")[2] == "Contents":
                    entry = {child.tag.rpartition("}")[2]: child.text for child in element}
                    found[urllib.parse.unquote_plus(entry["Key"])] = int(entry["Size"])
            page = xml_fields(body, ("IsTruncated", "NextContinuationToken"))
            if page["IsTruncated"] != "true":
                return found
            query["continuation-token"] = page["NextContinuationToken"]
