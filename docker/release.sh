#!/usr/bin/env bash
# Makes a release of what is committed, as files in a folder that is not there yet:
#   docker/release.sh [FOLDER]        (dist/wardround-VERSION when left out)
# The wheel, what it is installed with (constraints, requirements with hashes), the lists of components (CycloneDX), the
# provenance (in-toto, SLSA 1) and SHA-256SUMS. The same commit gives the same bytes with the same Python, whoever makes it.
# KEY=FILE signs it (`wardround release key FILE` makes one); without it, sign on another machine: wardround release sign.
# IMAGES=1 builds both images as well, from a base by digest, and adds what they were made from and what is in them.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
fail() { echo "release.sh: $*" >&2; exit 1; }
python="${PYTHON:-.venv/bin/python}"
version="$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml | head -n 1)"
folder="${1:-dist/wardround-$version}"
test -z "$(git status --porcelain)" || fail "a release is made from a commit, and the working tree has changes: git status"
test ! -e "$folder" || fail "$folder is there already: move it away"
test -z "${KEY:-}" || test -f "$KEY" || fail "there is no key $KEY: wardround release key $KEY makes one, once"
SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)"
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
source="$place/source" release="$place/release"
mkdir "$source" "$release"

# The source as it is committed, with modes that do not depend on this checkout, and tools that are known by their hashes.
git archive HEAD | tar -x --no-same-permissions -C "$source"
"$python" -m venv "$place/tools"
"$place/tools/bin/pip" install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes \
  -r docker/requirements-build.txt -r docker/requirements-sbom.txt
"$place/tools/bin/pip" wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index \
  --wheel-dir "$release" "$source"

cp constraints.txt LICENSE docker/requirements-client.txt docker/requirements-server.txt "docker/requirements-server,tracking.txt" "$release/"
for extra in client server; do
  { cat "docker/requirements-$extra.txt"; test "$extra" = server || grep '^torch==' constraints.txt; } > "$place/installs"
  "$place/tools/bin/cyclonedx-py" requirements "$place/installs" --pyproject pyproject.toml --output-reproducible \
    --validate --output-file "$release/requirements-$extra.cdx.json" 2> "$place/said" || { cat "$place/said" >&2; exit 1; }
done
if test -n "${IMAGES:-}"; then
  RELEASE=1 docker/build.sh > "$release/images.txt"
  docker/sbom.sh "$release" >/dev/null
fi
"$place/tools/bin/python" docker/provenance.py "$release" "$(git rev-parse HEAD)" "$version"
(cd "$release" && sha256sum -- * > "$place/sums" && mv "$place/sums" SHA-256SUMS)

mkdir -p "$(dirname "$folder")"
mv "$release" "$folder"
cat "$folder/SHA-256SUMS"
if test -n "${KEY:-}"; then
  "$(dirname "$python")/wardround" release sign "$folder" --key "$KEY"
else
  echo "Not signed yet: wardround release sign $folder --key KEY"
fi
