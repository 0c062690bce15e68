#!/usr/bin/env bash
# Writes what each image installs, with the SHA-256 of every file of that version: docker/requirements-*.txt.
# Run it when constraints.txt or pyproject.toml has changed; a test says when it was forgotten. uv comes with flwr.
# PyTorch and NVIDIA's libraries are left out: the site chooses the build for its machines, by TORCH_PIP_ARGS.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv="${UV:-.venv/bin/uv}"
for extras in client server server,tracking; do
  options=()
  for extra in ${extras//,/ }; do options+=(--extra "$extra"); done
  "$uv" pip compile --quiet pyproject.toml "${options[@]}" --constraint constraints.txt --python-version 3.11 \
    --generate-hashes --no-annotate --no-header --no-emit-package torch |
    awk '/^[a-z]/ { kept = $0 !~ /^(nvidia-|cuda-|triton)/ } kept' > "docker/requirements-$extras.txt"
done
# What builds, and what lists the components; neither stays in an image.
for tool in build=setuptools sbom=cyclonedx-bom; do
  grep "^${tool#*=}==" constraints.txt |
    "$uv" pip compile --quiet - --constraint constraints.txt --python-version 3.11 --generate-hashes --no-annotate --no-header \
      > "docker/requirements-${tool%=*}.txt"
done
# What audits the others (docker/audit.py), in an environment of its own.
echo pip-audit==2.10.1 |
  "$uv" pip compile --quiet - --python-version 3.11 --generate-hashes --no-annotate --no-header > docker/requirements-audit.txt
wc -l docker/requirements-*.txt
