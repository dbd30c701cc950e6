# Targets: `runtime` (the default) holds satcheld, satchel and the shared objects they load, and
# nothing else, not even a shell; `debug` holds the same programs with symbols on Debian, with
# tools; `cart` is the example web task.
#
#     docker build -t satchel .
#     docker build -t satchel-debug --target debug .
#
# The store keeps its data in /data: mount the file system that is to outlive the task there,
# writable for uid 10001. The root file system may be read-only.

FROM debian:bookworm-slim AS build
WORKDIR /src
# The packages first and alone: this layer stays while only sources change.
COPY dev ./
RUN ./dev install build \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends ca-certificates
COPY . .
ARG SOURCE_DATE_EPOCH
RUN ./dev build
# The authorities that libcurl trusts when the store speaks to S3.
RUN install -D -m 644 -t /image/store/etc/ssl/certs /etc/ssl/certs/ca-certificates.crt \
    && deploy/image/closure /image/store build/bin/satcheld build/bin/satchel build/bin/satchel-store build/bin/satchel-backup \
    && deploy/image/closure /image/cart build/bin/cart

FROM debian:bookworm-slim AS debug
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates curl gdb libcurl4 libevent-core-2.1-7 libevent-extra-2.1-7 \
        libevent-pthreads-2.1-7 libexpat1 libjansson4 liblmdb0 libssl3 libxxhash0 libzstd1 \
        lmdb-utils procps strace \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 satchel \
    && useradd --uid 10001 --gid 10001 --home-dir / --no-create-home satchel \
    && install -d -o 10001 -g 10001 -m 750 /data /run/satchel
COPY --from=build /src/build/bin/satcheld /src/build/bin/satchel /src/build/bin/satchel-store /src/build/bin/satchel-backup /usr/bin/
ENV SATCHEL_DATA=/data SATCHEL_RUN_DIR=/run/satchel \
    SATCHEL_LISTEN=0.0.0.0:7401 SATCHEL_OPS=0.0.0.0:7402
VOLUME ["/run/satchel"]
USER 10001:10001
EXPOSE 7401 7402
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s CMD ["/usr/bin/satchel", "health"]
ENTRYPOINT ["/usr/bin/satcheld"]

FROM scratch AS cart
COPY --from=build /image/cart /
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/cart"]
CMD ["--listen", "0.0.0.0:8080"]

FROM scratch AS runtime
COPY --from=build /image/store /
ENV SATCHEL_DATA=/data SATCHEL_RUN_DIR=/run/satchel \
    SATCHEL_LISTEN=0.0.0.0:7401 SATCHEL_OPS=0.0.0.0:7402
# Local and writable, for the lock file that must never lie on a network file system.
VOLUME ["/run/satchel"]
USER 10001:10001
EXPOSE 7401 7402
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s CMD ["/usr/bin/satchel", "health"]
ENTRYPOINT ["/usr/bin/satcheld"]
