# The cloud side. Targets:
#   cloud          every worker, the relay, the web with its dashboard, the devices' address, passes,
#                  migrations. What a pod runs, the chart (helm/vigil) says.
#   inference      the same with ONNX Runtime: detectors over recorded footage
#   inference-gpu  the same for CUDA; the host needs NVIDIA's driver and container toolkit
# `make images` builds all images; docs/design/images.md says why they are what they are.
# They run as a user without rights, and write only to /var/lib/vigil and /tmp.

# Bases by digest. `make bases` asks the registry for today's and writes them here.
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
ARG RUST=docker.io/library/rust:1-slim-bookworm@sha256:1469a27c125cb5a3aebfa4f4e4665d935b02fb72cc093b2c974b3d740e43f157

FROM ${RUST} AS rust

FROM ${PYTHON} AS build
# File of certificate authorities, where a proxy of the network has one of its own.
ARG PIP_CERT
ARG CARGO_HTTP_CAINFO
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
    && /opt/vigil/bin/pip install --no-cache-dir --no-compile --require-hashes -r requirements/cloud.txt
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
# Other installations may lack the extension: here it must be built.
# hadolint ignore=DL4006
RUN CARGO_HOME=/tmp/cargo /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --verbose --wheel-dir /wheels . \
    && python -m zipfile --list /wheels/*.whl | grep _extension.abi3.so \
    && /opt/vigil/bin/pip install --no-cache-dir --no-compile --no-deps --no-index /wheels/*.whl

# The dashboard, by the Node that its lock file was tested with.
FROM ${PYTHON} AS dashboard
ARG PIP_CERT
ARG NPM_CONFIG_CAFILE
WORKDIR /src
COPY requirements/dashboard.txt requirements/
RUN python -m venv --copies /opt/node \
    && /opt/node/bin/pip install --no-cache-dir --require-hashes -r requirements/dashboard.txt
ENV PATH=/opt/node/bin:$PATH
COPY web/dashboard web/dashboard
WORKDIR /src/web/dashboard
RUN npm install --no-save --no-audit --no-fund --no-progress && npm run build

FROM build AS build-cloud
RUN /opt/vigil/bin/python -I -c "import agents.join, web.views" \
    && /opt/vigil/bin/pip uninstall --yes pip setuptools \
    && find /opt/vigil -name __pycache__ -prune -exec rm -rf {} + \
    && python -m compileall -q -j 2 /opt/vigil/lib

FROM ${PYTHON} AS base
LABEL org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.vendor="Vigil"
# What builds and installs has no place in an image that runs.
# hadolint ignore=DL3013,DL3042
RUN groupadd --gid 10001 vigil \
    && useradd --uid 10001 --gid vigil --no-create-home --home-dir /var/lib/vigil --shell /usr/sbin/nologin vigil \
    && install -d -o vigil -g vigil -m 0750 /var/lib/vigil \
    && if python -c "import pip" 2>/dev/null; then python -m pip uninstall --yes --root-user-action=ignore pip setuptools wheel; fi
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 \
    PATH=/opt/vigil/bin:$PATH HOME=/tmp VIGIL_DATA_DIR=/var/lib/vigil VIGIL_METRICS_PORT=9100
WORKDIR /var/lib/vigil
VOLUME /var/lib/vigil
EXPOSE 9100
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=4 CMD ["vigil", "health"]
# `vigil` alone prints its help.
CMD ["vigil"]

FROM base AS cloud
LABEL org.opencontainers.image.title="vigil-cloud" \
    org.opencontainers.image.description="The cloud side of Vigil: workers, relay, web, devices' address, migrations"
COPY --from=build-cloud /opt/vigil /opt/vigil
COPY --from=dashboard /src/web/dashboard/dist /opt/vigil/lib/python3.11/site-packages/web/dashboard/dist
USER 10001:10001

FROM build AS build-inference
COPY requirements/inference.txt requirements/
RUN /opt/vigil/bin/pip install --no-cache-dir --no-compile --require-hashes -r requirements/inference.txt \
    && /opt/vigil/bin/python -I -c "import agents.replay.detections, onnxruntime" \
    && /opt/vigil/bin/pip uninstall --yes pip setuptools \
    && find /opt/vigil -name __pycache__ -prune -exec rm -rf {} + \
    && python -m compileall -q -j 2 /opt/vigil/lib

FROM base AS inference
LABEL org.opencontainers.image.title="vigil-inference" \
    org.opencontainers.image.description="Vigil's detectors over recorded footage, on CPUs"
COPY --from=build-inference /opt/vigil /opt/vigil
HEALTHCHECK NONE
USER 10001:10001
CMD ["vigil", "replay", "detections", "--help"]

FROM build AS build-inference-gpu
COPY requirements/inference-gpu.txt requirements/
RUN /opt/vigil/bin/pip install --no-cache-dir --no-compile --require-hashes -r requirements/inference-gpu.txt \
    && /opt/vigil/bin/pip uninstall --yes pip setuptools \
    && find /opt/vigil -name __pycache__ -prune -exec rm -rf {} + \
    && python -m compileall -q -j 2 /opt/vigil/lib

FROM base AS inference-gpu
LABEL org.opencontainers.image.title="vigil-inference-gpu" \
    org.opencontainers.image.description="Vigil's detectors over recorded footage, on NVIDIA GPUs"
COPY --from=build-inference-gpu /opt/vigil /opt/vigil
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
HEALTHCHECK NONE
USER 10001:10001
CMD ["vigil", "replay", "detections", "--help"]
