#!/usr/bin/env bash
# Builds both images, runs a coordinator and three synthetic hospitals on networks of their own, trains one study, and
# takes everything down again. Needs a Docker engine with compose, and the project's own environment for the images.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON_IMAGE="${PYTHON_IMAGE:-python:3.11-slim}"
place="$(mktemp -d)"
export DATA="$place/data" COMPOSE_PROJECT_NAME=wardround-try COMPOSE_FILE=docker/compose.yaml
trap 'docker compose down --volumes --timeout 5 >/dev/null 2>&1 || true; rm -rf "$place"' EXIT

docker build --quiet --build-arg PYTHON_IMAGE="$PYTHON_IMAGE" -f docker/server.Dockerfile -t wardround-server .
docker build --quiet --build-arg PYTHON_IMAGE="$PYTHON_IMAGE" -f docker/client.Dockerfile -t wardround-client .
"${PYTHON:-.venv/bin/python}" -c "
from pathlib import Path
from wardround_simulation.phantoms import make_hospitals
make_hospitals(Path('$DATA'), seed=1, hospitals=3, patients=60)"
chmod -R a+rX "$place"
hospitals=(hospital-a hospital-b hospital-c)

once() { docker compose run --rm --no-deps -T "$@"; }
echo "== set up and enrol"
once coordinator coordinator init /data --host coordinator --port 9093
for name in "${hospitals[@]}"; do
  once "$name" hospital init "$name" --data /images --state /state --out "/tmp/$name.request" --json >/dev/null
  once --entrypoint cat "$name" /state/hospital.request > "$place/$name.request"
  once -v "$place:/exchange:ro" coordinator coordinator enrol /data "/exchange/$name.request" --yes --out "/data/$name.invitation"
  once --entrypoint cat coordinator "/data/$name.invitation" > "$place/$name.invitation"
  once -v "$place:/exchange:ro" --entrypoint python "$name" -c "
from pathlib import Path
from wardround_client.hospital_folder import HospitalFolder
from wardround_client.joining import accept
accept(HospitalFolder(Path('/state')), Path('/exchange/$name.invitation'))"
done

echo "== serve"
docker compose up --detach --wait --wait-timeout 180
echo "== no hospital reaches another, or anything but the coordinator"
address() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$(docker compose ps -q "$1")"; }
for other in "$(address hospital-b)" "$(address hospital-c)" 192.0.2.1; do
  # A machine that can be reached and does not listen refuses; only one that cannot be reached is silent or has no route.
  docker compose exec -T hospital-a python -c "
import socket, sys
try:
    socket.create_connection(('$other', 9093), 3)
except ConnectionRefusedError:
    sys.exit('hospital-a reaches $other')
except OSError:
    sys.exit(0)
sys.exit('hospital-a reaches $other')"
done
docker compose exec -T hospital-a python -c "
import socket
socket.create_connection(('coordinator', 9093), 3)"
for service in coordinator "${hospitals[@]}"; do
  test "$(docker compose exec -T "$service" id -u)" = 10001
  if docker compose exec -T "$service" touch /opt/venv/x 2>/dev/null; then
    echo "$service can write its own programs" >&2
    exit 1
  fi
done

echo "== one study"
{
  .venv/bin/wardround study new containers --out "$place/new.toml" >/dev/null
  sed 's/^modalities = .*/modalities = ["CR", "MG"]/; s/^classes = .*/classes = ["normal", "finding"]/;
       s/^image_size = .*/image_size = 32/; s/^rounds = .*/rounds = 3/; s/^network = .*/network = "tiny-cnn"/' "$place/new.toml"
  docker compose exec -T coordinator wardround coordinator roster /data
} > "$place/study.toml"
docker compose exec -T coordinator sh -c 'cat > /tmp/containers.toml' < "$place/study.toml"
docker compose exec -T coordinator wardround coordinator run /data /tmp/containers.toml --detach
for name in "${hospitals[@]}"; do
  until docker compose exec -T "$name" wardround hospital studies --state /state | grep -q containers; do sleep 1; done
  docker compose exec -T "$name" wardround hospital approve containers --state /state --yes | tail -n 1
done
for _ in $(seq 180); do
  docker compose exec -T coordinator wardround coordinator status /data --json > "$place/status.json"
  grep -q '"stage": "done"' "$place/status.json" && break
  sleep 1
done
docker compose exec -T coordinator wardround coordinator status /data
grep -q '"stage": "done"' "$place/status.json" || { docker compose logs --tail 20; exit 1; }
echo "containers: done"
