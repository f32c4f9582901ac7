# One image with all programs. The stage "demo" has the simulator and the replayed shift besides.
# DEBIAN is the release it is made from: bookworm (12) or trixie (13).
ARG DEBIAN=bookworm

FROM debian:${DEBIAN}-slim AS build
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        gcc libc6-dev pkg-config meson ninja-build librabbitmq-dev libcurl4-openssl-dev libpq-dev libhiredis-dev \
        libjansson-dev libconfig-dev libevent-dev libmicrohttpd-dev libssl-dev uthash-dev dpkg-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY meson.build ./
COPY common common
COPY producer producer
COPY sync-worker sync-worker
COPY webhook-receiver webhook-receiver
COPY ctl ctl
COPY sql sql
COPY tools tools
COPY tests/meson.build tests/meson.build
COPY tests/mtconnect-sim tests/mtconnect-sim
RUN meson setup /build --buildtype=release --prefix=/usr && ninja -C /build && DESTDIR=/out meson install -C /build
# The packages of the libraries, whose names differ from release to release: one a line.
RUN mkdir debian && touch debian/control \
    && dpkg-shlibdeps --warnings=0 -O /out/usr/bin/* >debian/depends \
    && sed 's/^[^=]*=//; s/ *([^)]*)//g; s/ *|[^,]*//g; s/, */\n/g' debian/depends >/out/packages \
    && cat /out/packages

FROM debian:${DEBIAN}-slim AS programs
COPY --from=build /out/packages /usr/share/mtc-sync/packages
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive xargs apt-get install -y -q --no-install-recommends \
        ca-certificates </usr/share/mtc-sync/packages \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin mtc
COPY --from=build /out/usr/bin/ /usr/bin/
USER mtc
STOPSIGNAL SIGTERM

FROM programs AS demo
USER root
RUN apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
        python3-minimal python3-psycopg \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /build/tests/mtconnect-sim /usr/bin/
COPY demo/shift.py demo/replay.py demo/cycle-times.json /demo/
USER mtc

# What is built when no target is named.
FROM programs
