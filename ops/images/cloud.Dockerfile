# The cloud side: every worker, the web with its dashboard, the devices' address, passes, migrations.
#   buildah bud --format docker --ignorefile ops/images/cloud.dockerignore \
#       -f ops/images/cloud.Dockerfile -t vigil-cloud .
# The chart (helm/vigil) says which program a pod runs. It runs as a user without rights, and writes
# only to /var/lib/vigil and /tmp.

FROM rust:1-slim-bookworm AS rust

FROM python:3.11-slim-bookworm AS build
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup PATH=/usr/local/cargo/bin:$PATH
# hadolint ignore=DL3008
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY requirements/build.txt requirements/cloud.txt requirements/
RUN python -m venv --copies /opt/build \
    && /opt/build/bin/pip install --no-cache-dir --require-hashes -r requirements/build.txt \
    && python -m venv --copies /opt/vigil \
    && /opt/vigil/bin/pip install --no-cache-dir --require-hashes -r requirements/cloud.txt
COPY pyproject.toml README.md LICENSE ./
COPY agents agents
COPY cli cli
COPY domain domain
COPY edge_bridge edge_bridge
COPY media media
COPY stores stores
COPY streams streams
COPY tables tables
COPY vision vision
COPY web web
RUN CARGO_HOME=/tmp/cargo /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels . \
    && /opt/vigil/bin/pip install --no-cache-dir --no-deps --no-index /wheels/*.whl \
    && /opt/vigil/bin/python -c "import agents.join, web.views" \
    && /opt/vigil/bin/pip uninstall --yes pip setuptools

# The dashboard, by the Node that its lock file was tested with.
FROM python:3.11-slim-bookworm AS dashboard
WORKDIR /src
COPY requirements/dashboard.txt requirements/
RUN python -m venv --copies /opt/node \
    && /opt/node/bin/pip install --no-cache-dir --require-hashes -r requirements/dashboard.txt
ENV PATH=/opt/node/bin:$PATH
COPY web/dashboard web/dashboard
WORKDIR /src/web/dashboard
RUN npm install --no-save --no-audit --no-fund --no-progress && npm run build

FROM python:3.11-slim-bookworm AS cloud
LABEL org.opencontainers.image.title="vigil-cloud" \
    org.opencontainers.image.description="The cloud side of Vigil" \
    org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 vigil \
    && useradd --uid 10001 --gid vigil --no-create-home --home-dir /var/lib/vigil --shell /usr/sbin/nologin vigil \
    && install -d -o vigil -g vigil -m 0750 /var/lib/vigil
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 \
    PATH=/opt/vigil/bin:$PATH VIGIL_DATA_DIR=/var/lib/vigil
COPY --from=build /opt/vigil /opt/vigil
COPY --from=dashboard /src/web/dashboard/dist /opt/vigil/lib/python3.11/site-packages/web/dashboard/dist
WORKDIR /var/lib/vigil
VOLUME /var/lib/vigil
STOPSIGNAL SIGTERM
USER 10001:10001
# Workers answer at VIGIL_METRICS_PORT, which the deployment sets; `vigil` alone prints its help.
CMD ["vigil"]
