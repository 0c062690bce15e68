# The coordinator: one port, no image reader, no torch. Build from the project's root:
#   docker build -f docker/server.Dockerfile -t wardround-server .
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE} AS build
RUN python -m venv /opt/venv
COPY . /src
RUN /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --constraint /src/constraints.txt "/src[server]"

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/venv /opt/venv
RUN mkdir -p /data && chown 10001:10001 /data
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp MPLCONFIGDIR=/tmp
USER 10001:10001
VOLUME /data
EXPOSE 9093
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["wardround", "coordinator", "status", "/data"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["wardround"]
CMD ["coordinator", "serve", "/data"]
