# The gateway as a container: no root, no package manager, no build tools, every dependency checked against its hash.
# `docker build .` makes the gateway; the target `demo` holds the demo servers for compose.yaml.

FROM docker.io/library/python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/gateway
COPY deploy/gateway/requirements.txt deploy/gateway/requirements.txt
RUN /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r deploy/gateway/requirements.txt
COPY pyproject.toml .
COPY setup.py .
COPY gateway gateway
COPY policies policies
COPY policy_tests policy_tests
COPY schemas schemas
COPY library library
COPY .regal .regal
COPY tools/opa tools/opa
COPY tools/regal tools/regal
COPY tools/go.txt tools/go.txt
RUN /opt/gateway/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation . \
    && /opt/gateway/bin/pip uninstall --quiet --yes setuptools pip

FROM docker.io/library/python:3.11-slim-bookworm AS base
# The numbers are part of the interface: volumes and `user:` in compose.yaml name them.
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin gateway \
    && install -d -o gateway -g gateway -m 0700 /var/lib/mcp-gateway
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/gateway/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /
USER 10001:10001

FROM base AS demo
COPY examples /demo/examples
WORKDIR /demo
ENTRYPOINT ["python", "-m"]

FROM base AS gateway
EXPOSE 8080 9090
ENTRYPOINT ["mcp-gateway"]
CMD ["serve", "--settings", "/etc/mcp-gateway/gateway.yaml"]
