#!/usr/bin/env bash
# Builds both images and says what they were made from. Names and base can be given:
#   PYTHON_IMAGE=python:3.11-slim@sha256:… SERVER_IMAGE=… CLIENT_IMAGE=… docker/build.sh
# RELEASE=1 refuses a base that is not named by its digest, and a working tree with changes that are not committed.
# TORCH_PIP_ARGS goes to pip when it installs torch; SERVER_EXTRAS=server,tracking for studies with [tracking].
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON_IMAGE="${PYTHON_IMAGE:-python:3.11-slim}"
SERVER_IMAGE="${SERVER_IMAGE:-wardround-server}"
CLIENT_IMAGE="${CLIENT_IMAGE:-wardround-client}"
version="$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -n 1)"
revision="$(git rev-parse HEAD 2>/dev/null || echo unknown)"
changed="$(git status --porcelain 2>/dev/null || true)"
test -z "$changed" || revision="$revision-changed"

if test -n "${RELEASE:-}"; then
  if ! grep -Eq '@sha256:[0-9a-f]{64}$' <<< "$PYTHON_IMAGE"; then
    echo "build.sh: a release names its base by digest: PYTHON_IMAGE=python:3.11-slim@sha256:… (now: $PYTHON_IMAGE)." >&2
    echo "The digest: docker pull python:3.11-slim, then docker image inspect -f '{{index .RepoDigests 0}}' python:3.11-slim" >&2
    exit 1
  fi
  if test -n "$changed"; then
    echo "build.sh: a release is built from a commit, and the working tree has changes: git status" >&2
    exit 1
  fi
fi

common=(--build-arg "PYTHON_IMAGE=$PYTHON_IMAGE" --build-arg "VERSION=$version" --build-arg "REVISION=$revision")
docker build --quiet "${common[@]}" --build-arg "EXTRAS=${SERVER_EXTRAS:-server}" -f docker/server.Dockerfile -t "$SERVER_IMAGE" . >/dev/null
docker build --quiet "${common[@]}" --build-arg "TORCH_PIP_ARGS=${TORCH_PIP_ARGS:-}" -f docker/client.Dockerfile -t "$CLIENT_IMAGE" . >/dev/null

digest_of() { docker image inspect -f '{{if .RepoDigests}}{{index .RepoDigests 0}}{{else}}{{.Id}} (not from a registry: an image identifier){{end}}' "$1"; }
echo "base    $PYTHON_IMAGE = $(digest_of "$PYTHON_IMAGE" 2>/dev/null || echo "not in this engine's store")"
for image in "$SERVER_IMAGE" "$CLIENT_IMAGE"; do
  echo "image   $image = $(docker image inspect -f '{{.Id}}, {{.Size}} bytes' "$image"), version $version, revision $revision"
done
