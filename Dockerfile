# The farm's image: one image, its command says which part it is. Built from requirements.lock, without the test tools.
# No Docker engine was at hand to build or boot it; it is linted, and tests/test_compose.py holds it against the code.
FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 UV_SYSTEM_CERTS=1
WORKDIR /build
COPY requirements.lock pyproject.toml ./
RUN awk '/^[a-z]/ { wanted = /^uv==/ } wanted' requirements.lock > uv.txt \
    && python -m pip install --no-cache-dir --require-hashes -r uv.txt \
    && python -m venv /venv
# The lock as constraints: its versions and hashes hold, and only what pyproject.toml needs to run is installed.
RUN uv pip install --python /venv/bin/python --no-cache --compile-bytecode --constraint requirements.lock --extra s3 -r pyproject.toml

FROM python:3.13-slim
RUN groupadd --gid 10001 tickfarm \
    && useradd --uid 10001 --gid tickfarm --no-create-home --shell /usr/sbin/nologin tickfarm \
    && install --directory --owner tickfarm --group tickfarm --mode 0700 /var/lib/tickfarm
COPY --from=build /venv /venv
WORKDIR /app
COPY beat_schedule.py celeryconfig.py cli.py farm.py flowerconfig.py ./
COPY commands commands
COPY dashboard dashboard
COPY ingest ingest
COPY local local
COPY models models
COPY sandbox sandbox
COPY tasks tasks
RUN printf '#!/venv/bin/python\nfrom cli import main\nmain()\n' > /venv/bin/tickfarm \
    && chmod 0755 /venv/bin/tickfarm \
    && /venv/bin/python -m compileall -q /app
ENV PATH=/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TICKFARM_HOME=/var/lib/tickfarm
USER 10001:10001
VOLUME /var/lib/tickfarm
STOPSIGNAL SIGTERM
# Exec form: a shell in between would swallow SIGTERM, and a worker would be killed instead of finishing its work.
CMD ["celery", "-A", "tasks", "worker", "-Q", "standard.load,standard", "-n", "standard@%h", "-c", "2", "--without-gossip", "--without-mingle", "--loglevel=INFO"]
