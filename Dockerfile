# The images of the distributed service: docker build --target api, worker or worker-gpu.

FROM python:3.11-slim-bookworm AS base
# Anything but nothing adds the exporter of traces: docker build --build-arg TRACING=yes
ARG TRACING=
# OpenMP threads that wait by spinning slow each other down a hundredfold on a busy machine.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_WAIT_POLICY=PASSIVE \
    DATA_DIR=/var/lib/metaselect
RUN useradd --uid 10001 --create-home --home-dir /var/lib/metaselect --shell /usr/sbin/nologin metaselect
WORKDIR /var/lib/metaselect

# The project as a wheel. What builds it is pinned by hash in dev.txt, so the build is not isolated: isolation
# would fetch the newest versions unchecked. The names are hatchling, editables and all that they require.
FROM base AS wheel
WORKDIR /build
COPY requirements/dev.txt ./
RUN awk '/^[a-z0-9]/ {keep = /^(editables|hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/} keep' \
        dev.txt > build.txt \
    && python -m venv /opt/venv \
    && pip install --no-cache-dir --require-hashes -r build.txt
COPY pyproject.toml README.md ./
COPY app app
COPY workers workers
COPY migrations migrations
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels .

FROM base AS api-environment
COPY requirements/api.txt requirements/tracing.txt /build/
RUN python -m venv /opt/venv && pip install --no-cache-dir --require-hashes -r /build/api.txt
RUN if [ -n "$TRACING" ]; then pip install --no-cache-dir --require-hashes -r /build/tracing.txt; fi
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-index --no-deps /wheels/*.whl

FROM base AS worker-environment
COPY requirements/worker.txt requirements/tracing.txt /build/
RUN python -m venv /opt/venv && pip install --no-cache-dir --require-hashes -r /build/worker.txt
RUN if [ -n "$TRACING" ]; then pip install --no-cache-dir --require-hashes -r /build/tracing.txt; fi
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-index --no-deps /wheels/*.whl

FROM base AS worker-gpu-environment
COPY requirements/deep.txt requirements/tracing.txt /build/
RUN python -m venv /opt/venv && pip install --no-cache-dir --require-hashes -r /build/deep.txt
RUN if [ -n "$TRACING" ]; then pip install --no-cache-dir --require-hashes -r /build/tracing.txt; fi
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir --no-index --no-deps /wheels/*.whl

FROM base AS worker
# LightGBM and XGBoost load the system's OpenMP runtime, which the slim image lacks.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=worker-environment /opt/venv /opt/venv
USER metaselect
CMD ["celery", "-A", "workers.main", "worker", "--loglevel", "INFO", "--without-mingle", "--without-gossip"]

# The worker on the queue `gpu`: with RealMLP and TabM. PyTorch's wheel brings its CUDA libraries itself, so the base may stay.
FROM worker AS worker-gpu
COPY --from=worker-gpu-environment /opt/venv /opt/venv
ENV WORKER_QUEUE=gpu
CMD ["celery", "-A", "workers.main", "worker", "--loglevel", "INFO", "--without-mingle", "--without-gossip"]

# The API comes last, so that a build without a target yields it.
FROM base AS api
COPY --from=api-environment /opt/venv /opt/venv
USER metaselect
EXPOSE 8000
# The slim image has no curl, and http.client obeys no proxy variables, which would send this request elsewhere.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health/ready'); sys.exit(c.getresponse().status != 200)"]
CMD ["uvicorn", "--factory", "app.main:create_app", "--host", "0.0.0.0", "--port", "8000", "--timeout-graceful-shutdown", "10"]
