#!/usr/bin/env bash
# Builds both images, runs a coordinator and three synthetic hospitals on networks of their own, checks how they are
# walled off, trains one study while one side after the other is killed, and takes everything down again. Needs a Docker
# engine with compose, and the project's own environment for the images.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
place="$(mktemp -d)"
export DATA="$place/data" COMPOSE_PROJECT_NAME=wardround-try COMPOSE_FILE=docker/compose.yaml
export SERVER_IMAGE="${SERVER_IMAGE:-wardround-server}" CLIENT_IMAGE="${CLIENT_IMAGE:-wardround-client}"
python="${PYTHON:-.venv/bin/python}"
wardround="$(dirname "$python")/wardround"
trap 'docker compose down --volumes --timeout 5 >/dev/null 2>&1 || true; rm -rf "$place"' EXIT
fail() { echo "try.sh: $*" >&2; exit 1; }

docker/build.sh
docker/sbom.sh "$place/sbom"
"$python" -c "
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
  once -v "$place:/exchange:ro" "$name" hospital accept "/exchange/$name.invitation" --state /state --yes
done

echo "== serve"
docker compose up --detach --wait --wait-timeout 600

echo "== hardened, as the engine and the kernel see it"
for service in coordinator "${hospitals[@]}"; do
  docker inspect "$(docker compose ps -q "$service")" > "$place/inspect.json"
  docker compose exec -T "$service" cat /proc/1/status > "$place/status"
  docker compose exec -T "$service" cat /proc/net/tcp /proc/net/tcp6 > "$place/sockets"
  "$python" docker/check_hardening.py "$service" "$place/inspect.json" "$place/status" "$place/sockets"
  for path in /opt/venv/x /usr/local/bin/x /etc/x; do
    if docker compose exec -T "$service" touch "$path" 2>/dev/null; then fail "$service can write $path"; fi
  done
  if docker compose exec -T "$service" sh -c 'cp /bin/true /tmp/x && /tmp/x' 2>/dev/null; then fail "$service runs what it wrote"; fi
done
if docker compose exec -T hospital-a touch /images/x 2>/dev/null; then fail "a hospital can write its images"; fi
if docker compose exec -T hospital-a wardround coordinator --help >/dev/null 2>&1; then fail "a hospital has the coordinator's commands"; fi
if docker compose exec -T coordinator wardround hospital --help >/dev/null 2>&1; then fail "the coordinator has a hospital's commands"; fi

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

echo "== one study, with a hospital and then the coordinator killed in the middle of it"
{
  "$wardround" study new containers --out "$place/new.toml" >/dev/null
  sed 's/^modalities = .*/modalities = ["CR", "MG"]/; s/^classes = .*/classes = ["normal", "finding"]/;
       s/^image_size = .*/image_size = 32/; s/^rounds = .*/rounds = 6/; s/^network = .*/network = "tiny-cnn"/' "$place/new.toml"
  docker compose exec -T coordinator wardround coordinator roster /data
} > "$place/study.toml"
docker compose exec -T coordinator sh -c 'cat > /tmp/containers.toml' < "$place/study.toml"
docker compose exec -T coordinator wardround coordinator run /data /tmp/containers.toml --detach
for name in "${hospitals[@]}"; do
  until docker compose exec -T "$name" wardround hospital studies --state /state | grep -q containers; do sleep 1; done
  docker compose exec -T "$name" wardround hospital approve containers --state /state --yes | tail -n 1
done
stands() { docker compose exec -T coordinator wardround coordinator status /data --json > "$place/status.json" 2>/dev/null && grep -Eq "$1" "$place/status.json"; }
wait_for() { for _ in $(seq "$2"); do stands "$1" && return; sleep 1; done; docker compose logs --tail 20; fail "waited $2 s for $1"; }
restarts() { docker inspect -f '{{.RestartCount}}' "$(docker compose ps -q "$1")"; }

wait_for '"round": [1-9]' 600
echo "kill -9 of all of hospital-b's processes: the engine starts it again"
docker compose exec -T hospital-b sh -c 'kill -9 -1' || true
for _ in $(seq 30); do test "$(restarts hospital-b)" != 0 && break; sleep 1; done
test "$(restarts hospital-b)" != 0 || fail "hospital-b was not started again"
wait_for '"round": [3-9]' 600
grep -q '"stage": "training"' "$place/status.json" || fail "the run was over before the coordinator was killed"
echo "docker kill of the coordinator, and start"
docker kill "$(docker compose ps -q coordinator)" >/dev/null
sleep 3
docker compose start coordinator
wait_for '"stage": "(done|incomplete|failed|stopped)"' 600
docker compose exec -T coordinator wardround coordinator status /data
stands '"stage": "done"' || { docker compose logs --tail 20; fail "the run is not done"; }
for name in "${hospitals[@]}"; do
  docker compose exec -T "$name" wardround hospital ledger verify --state /state | tail -n 1
  docker compose exec -T "$name" wardround hospital budget --state /state --json | grep -q '"charged": 6' || fail "$name was not charged for six rounds"
done
echo "containers: done"
