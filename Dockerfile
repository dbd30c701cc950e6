# Targets: `runtime` (the default) holds Satchel's programs and the shared objects they load, and
# nothing else, not even a shell; `debug` holds the same programs with symbols on Debian, with
# tools; `cart` is the example web task. `./dev image` builds them where there is no docker, with
# labels and tags; docs/image.md says what is in them.
#
#     docker build -t satchel .
#     docker build -t satchel-debug --target debug .
#
# There is no ENTRYPOINT: an ECS task overrides only the command, so every job of Satchel is this
# image with another one, as in `docker run satchel satchel backup list s3://…`.
#
# The store keeps its data in /data: mount the file system that is to outlive the task there,
# writable for uid 10001. The root file system may be read-only.

ARG BASE=debian:bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
# The packages first and alone: this layer stays while only sources change. Python writes the SBOM.
COPY dev ./
RUN ./dev install build \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates python3
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY include include
COPY server server
COPY client client
COPY examples examples
COPY bench bench
RUN ./dev build release satcheld satchel_cli store_tool backup_tool satchel-bench cart
COPY deploy/image deploy/image
ARG SOURCE_DATE_EPOCH=0
RUN deploy/image/closure /image/store satchel satcheld satchel satchel-store satchel-backup satchel-bench \
    && deploy/image/closure /image/cart cart cart

FROM ${BASE} AS debug
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        ca-certificates curl gdb libcurl4 libevent-core-2.1-7 libevent-extra-2.1-7 \
        libevent-pthreads-2.1-7 libexpat1 libjansson4 liblmdb0 libssl3 libxxhash0 libzstd1 \
        lmdb-utils procps strace \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 satchel \
    && useradd --uid 10001 --gid 10001 --home-dir / --no-create-home satchel \
    && install -d -o 10001 -g 10001 -m 750 /data /run/satchel
COPY --from=build /src/build/bin/satcheld /src/build/bin/satchel /src/build/bin/satchel-store \
    /src/build/bin/satchel-backup /src/build/bin/satchel-bench /usr/bin/
ENV SATCHEL_DATA=/data SATCHEL_RUN_DIR=/run/satchel \
    SATCHEL_LISTEN=0.0.0.0:7401 SATCHEL_OPS=0.0.0.0:7402
VOLUME ["/run/satchel"]
USER 10001:10001
EXPOSE 7401 7402
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s CMD ["/usr/bin/satchel", "health", "--live"]
CMD ["/usr/bin/satcheld"]

FROM scratch AS cart
COPY --from=build /image/cart /
ENV PATH=/usr/bin CART_LISTEN=0.0.0.0:8080
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
CMD ["/usr/bin/cart"]

FROM scratch AS runtime
COPY --from=build /image/store /
ENV PATH=/usr/bin SATCHEL_DATA=/data SATCHEL_RUN_DIR=/run/satchel \
    SATCHEL_LISTEN=0.0.0.0:7401 SATCHEL_OPS=0.0.0.0:7402
# Local and writable, for the lock file that must never lie on a network file system.
VOLUME ["/run/satchel"]
USER 10001:10001
EXPOSE 7401 7402
STOPSIGNAL SIGTERM
# For docker; ECS looks only at the health check of the task definition, which says the same.
HEALTHCHECK --interval=30s --timeout=5s CMD ["/usr/bin/satchel", "health", "--live"]
CMD ["/usr/bin/satcheld"]
