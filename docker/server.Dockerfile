# The coordinator: one port, no image reader, no torch. Build from the project's root, best by docker/build.sh.
# For a release name the base by its digest: --build-arg PYTHON_IMAGE=python:3.11-slim@sha256:…
# For studies with [tracking]: --build-arg EXTRAS=server,tracking
ARG PYTHON_IMAGE=python:3.11-slim
FROM ${PYTHON_IMAGE} AS build
ARG EXTRAS=server
RUN python -m venv /opt/venv
# Everything is installed by the SHA-256 of its files.
COPY docker/requirements-build.txt docker/requirements-server*.txt /src/docker/
RUN /opt/venv/bin/pip install --no-compile --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
    -r /src/docker/requirements-build.txt -r "/src/docker/requirements-${EXTRAS}.txt"
COPY pyproject.toml README.md LICENSE constraints.txt /src/
COPY common /src/common
COPY server /src/server
# Where the source lay says nothing in the image; and nothing is installed there later. What Python compiles is known by
# what the source is and not by its time, so that the same files are in every build; some packages have files that do not compile.
RUN /opt/venv/bin/pip install --no-compile --no-cache-dir --disable-pip-version-check --no-deps --no-build-isolation /src \
 && /opt/venv/bin/pip check \
 && rm /opt/venv/lib/python3*/site-packages/wardround-*.dist-info/direct_url.json \
 && /opt/venv/bin/pip uninstall --yes --quiet pip \
 && (/opt/venv/bin/python -m compileall -qq -f --invalidation-mode unchecked-hash /opt/venv/lib || true)

# What is in it, as CycloneDX; the tool stays out of the image.
FROM build AS sbom
COPY docker/requirements-sbom.txt /src/docker/
RUN python -m venv /opt/sbom \
 && /opt/sbom/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes \
    -r /src/docker/requirements-sbom.txt \
 && /opt/sbom/bin/cyclonedx-py environment --output-reproducible --validate --pyproject /src/pyproject.toml \
    --output-file /opt/sbom.cdx.json /opt/venv/bin/python

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Wardround coordinator" \
      org.opencontainers.image.description="Federated learning across hospitals: the coordinator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
COPY --from=build /opt/venv /opt/venv
COPY --from=sbom /opt/sbom.cdx.json /usr/share/wardround/sbom.cdx.json
COPY LICENSE /usr/share/wardround/LICENSE
RUN mkdir -p /data && chown 10001:10001 /data && chmod 0700 /data
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 HOME=/tmp MPLCONFIGDIR=/tmp \
    FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1 DO_NOT_TRACK=1
USER 10001:10001
VOLUME /data
EXPOSE 9093
HEALTHCHECK --interval=10s --timeout=30s --start-period=300s --retries=5 CMD ["wardround", "coordinator", "health", "/data"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["wardround"]
CMD ["coordinator", "serve", "/data"]
