#!/usr/bin/python3
"""Django with sessions in a cache, that of django-redis in database 1, as its documentation shows.

In the environment: STORE (HOST:PORT), TTL_S.
"""

import os
import signal
import sys

import django
import django_redis
import redis
from django.conf import settings
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="of a test",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.cache",
    SESSION_COOKIE_AGE=int(os.environ["TTL_S"]),
    CACHES={"default": {
        "BACKEND": "django_redis.cache.RedisCache",
        "LOCATION": f"redis://{os.environ['STORE']}/1",
        "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"},
    }},
    LOGGING_CONFIG=None,
)


def versions(_):
    series = ".".join(django.get_version().split(".")[:2])
    django_redis_version = ".".join(map(str, django_redis.VERSION))
    return HttpResponse(f"redis-py {redis.__version__}\n"
                        f"Django {series}, django-redis {django_redis_version}")


def login(request):
    """As django.contrib.auth does: a login gets an id of its own."""
    request.session.cycle_key()
    request.session["user"] = request.GET["user"]
    request.session["count"] = 0
    return HttpResponse(request.session["user"])


def whoami(request):
    return HttpResponse(request.session.get("user", "nobody"))


def count(request):
    request.session["count"] += 1
    return HttpResponse(str(request.session["count"]))


def logout(request):
    request.session.flush()
    return HttpResponse("bye")


urlpatterns = [path(view.__name__, view) for view in (versions, login, whoami, count, logout)]


def main():
    server = ThreadedWSGIServer(("127.0.0.1", 0), WSGIRequestHandler)
    server.set_app(get_wsgi_application())
    print(f"listening listen=127.0.0.1:{server.server_port}", file=sys.stderr, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
