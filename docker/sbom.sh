#!/usr/bin/env bash
# Writes what each image's Python environment is made of, CycloneDX 1.6, as it was listed when the image was built:
#   docker/sbom.sh [FOLDER]        (dist/sbom when left out; images by SERVER_IMAGE and CLIENT_IMAGE)
# The base image's own packages are not in it: image scanners read those from the image.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder="${1:-dist/sbom}"
mkdir -p "$folder"
for image in "${SERVER_IMAGE:-wardround-server}" "${CLIENT_IMAGE:-wardround-client}"; do
  name="${image##*/}"
  file="$folder/${name%%[:@]*}.cdx.json"
  docker run --rm --network none --read-only --cap-drop ALL --entrypoint cat "$image" /usr/share/wardround/sbom.cdx.json > "$file"
  # What it lists is what is there, and it names neither a file of the machine that built it nor an index.
  docker run --rm -i --network none --read-only --cap-drop ALL --entrypoint python "$image" - < <(cat <<'PYTHON'
import json, re, sys
from importlib.metadata import distributions
from pathlib import Path

text = Path("/usr/share/wardround/sbom.cdx.json").read_text()
bom = json.loads(text)
plain = lambda name: re.sub(r"[-_.]+", "-", name).lower()
listed = {(plain(one["name"]), one["version"]) for one in [*bom["components"], bom["metadata"]["component"]]}
there = {(plain(one.name), one.version) for one in distributions(path=[p for p in sys.path if p.startswith("/opt/venv")])}
if there != listed:
    sys.exit(f"the list of components is not what is installed: {sorted(there ^ listed)}")
if found := re.findall(r"file:/[^\"]*|https?://(?:\d+\.){3}\d+[^\"]*", text):
    sys.exit(f"the list of components names places: {found}")
PYTHON
)
  echo "$file  $(sha256sum < "$file" | cut -c1-64)"
done
