# A hospital: no inbound port. Build from the project's root:
#   docker build -f docker/client.Dockerfile -t wardround-client .
# With CUDA: name an index that has CUDA builds of torch,
#   docker build -f docker/client.Dockerfile --build-arg TORCH_PIP_ARGS="--index-url URL" -t wardround-client .
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE} AS build
ARG TORCH_PIP_ARGS=
RUN python -m venv /opt/venv
COPY constraints.txt /src/constraints.txt
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check ${TORCH_PIP_ARGS} "$(grep '^torch==' /src/constraints.txt)"
COPY . /src
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --constraint /src/constraints.txt "/src[client]"

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/venv /opt/venv
RUN mkdir -p /state /images && chown 10001:10001 /state
# Prepared images are kept beside the state: both are the hospital's own.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp XDG_CACHE_HOME=/state/cache
USER 10001:10001
VOLUME /state
HEALTHCHECK --interval=10s --timeout=20s --start-period=60s CMD ["wardround", "hospital", "status", "--state", "/state", "--check"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["wardround"]
CMD ["hospital", "serve", "--state", "/state"]
