#!/usr/bin/env bash
# Builds both images, runs a coordinator and three synthetic hospitals on networks of their own (compose.yaml) and a fourth
# as a site runs it, behind the one way out (compose.hospital.yaml); checks how they are walled off, trains one study
# while one side after the other is killed, and takes everything down again. Needs a Docker engine with compose, and the
# project's own environment for the images.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
place="$(mktemp -d)"
export DATA="$place/data" COMPOSE_PROJECT_NAME=wardround-try COMPOSE_FILE=docker/compose.yaml
export IMAGES="$DATA/hospital-d" COORDINATOR=coordinator:9093
export SERVER_IMAGE="${SERVER_IMAGE:-wardround-server}" CLIENT_IMAGE="${CLIENT_IMAGE:-wardround-client}"
python="${PYTHON:-.venv/bin/python}"
wardround="$(dirname "$python")/wardround"
site() { HTTPS_PROXY='' docker compose --project-name wardround-try-site --file docker/compose.hospital.yaml "$@"; }
all_down() { docker compose down --volumes --timeout 5 >/dev/null 2>&1; site down --volumes --timeout 5 >/dev/null 2>&1; }
trap 'all_down || true; rm -rf "$place"' EXIT
fail() { echo "try.sh: $*" >&2; exit 1; }

docker/build.sh
docker/sbom.sh "$place/sbom"
"$python" -c "
from pathlib import Path
from wardround_simulation.phantoms import make_hospitals
make_hospitals(Path('$DATA'), seed=1, hospitals=4, patients=60)"
chmod -R a+rX "$place"
hospitals=(hospital-a hospital-b hospital-c)
everywhere=("${hospitals[@]}" hospital-d)

# hospital-d is the service "hospital" of the site's own file; all others are services of that name.
at() { # at NAME COMMAND…: of the compose file that has this hospital, with the service's name for "@"
  local name="$1" words=() word
  shift
  for word in "$@"; do
    if test "$word" = @; then word="$name"; test "$name" != hospital-d || word=hospital; fi
    words+=("$word")
  done
  case "$name" in hospital-d | way-out) site "${words[@]}" ;; *) docker compose "${words[@]}" ;; esac
}
once() { docker compose run --rm --no-deps -T "$@"; }
echo "== set up and enrol"
once coordinator coordinator init /data --host coordinator --port 9093
for name in "${everywhere[@]}"; do
  at "$name" run --rm --no-deps -T @ hospital init "$name" --data /images --state /state --out "/tmp/$name.request" --json >/dev/null
  at "$name" run --rm --no-deps -T --entrypoint cat @ /state/hospital.request > "$place/$name.request"
  once -v "$place:/exchange:ro" coordinator coordinator enrol /data "/exchange/$name.request" --yes --out "/data/$name.invitation"
  once --entrypoint cat coordinator "/data/$name.invitation" > "$place/$name.invitation"
  at "$name" run --rm --no-deps -T -v "$place:/exchange:ro" @ hospital accept "/exchange/$name.invitation" --state /state --yes
done

echo "== serve"
docker compose up --detach --wait --wait-timeout 600
# The fourth is elsewhere: the coordinator is reached from the network that its way out has to the world.
docker network connect --alias coordinator wardround-try-site_outside "$(docker compose ps -q coordinator)"
site up --detach --wait --wait-timeout 600

echo "== hardened, as the engine and the kernel see it"
for service in coordinator "${everywhere[@]}" way-out; do
  docker inspect "$(at "$service" ps -q @)" > "$place/inspect.json"
  at "$service" exec -T @ cat /proc/1/status > "$place/status"
  at "$service" exec -T @ cat /proc/net/tcp /proc/net/tcp6 > "$place/sockets"
  "$python" docker/check_hardening.py "$service" "$place/inspect.json" "$place/status" "$place/sockets"
  for path in /opt/venv/x /usr/local/bin/x /etc/x; do
    if at "$service" exec -T @ touch "$path" 2>/dev/null; then fail "$service can write $path"; fi
  done
  if at "$service" exec -T @ sh -c 'cp /bin/true /tmp/x && /tmp/x' 2>/dev/null; then fail "$service runs what it wrote"; fi
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

echo "== a hospital at a site of its own reaches the coordinator by its way out, and nothing else by any way"
coordinator_outside="$(docker inspect -f '{{(index .NetworkSettings.Networks "wardround-try-site_outside").IPAddress}}' "$(docker compose ps -q coordinator)")"
site exec -T hospital python - "$coordinator_outside" < <(cat <<'PYTHON'
import socket, sys

for host, port in ((sys.argv[1], 9093), ("192.0.2.1", 443)):
    try:
        socket.create_connection((host, port), 3)
    except ConnectionRefusedError:
        sys.exit(f"hospital-d reaches {host}")
    except OSError:
        continue
    sys.exit(f"hospital-d reaches {host}")
for name in ("coordinator", "example.org"):  # a name server that answers would be a way out for whoever owns a zone
    try:
        sys.exit(f"hospital-d is told that {name} is {socket.gethostbyname(name)}")
    except OSError:
        pass
for asked, expected in ((f"{sys.argv[1]}:9093", "403"), ("coordinator:22", "403"), ("coordinator:9093", "200")):
    with socket.create_connection(("way-out", 3128), 10) as way:
        way.sendall(f"CONNECT {asked} HTTP/1.1\r\nhost: {asked}\r\n\r\n".encode())
        status = way.recv(4096).split(b" ")[1].decode()
    if status != expected:
        sys.exit(f"the way out answers {status} for {asked}, not {expected}")
PYTHON
)
if site exec -T way-out ls /state/hospital.toml /images/labels.csv 2>/dev/null; then fail "the way out has keys or images"; fi

echo "== one study, with a hospital and then the coordinator killed in the middle of it"
{
  "$wardround" study new containers --out "$place/new.toml" >/dev/null
  sed 's/^modalities = .*/modalities = ["CR", "MG"]/; s/^classes = .*/classes = ["normal", "finding"]/;
       s/^image_size = .*/image_size = 32/; s/^rounds = .*/rounds = 6/; s/^network = .*/network = "tiny-cnn"/' "$place/new.toml"
  docker compose exec -T coordinator wardround coordinator roster /data
} > "$place/study.toml"
docker compose exec -T coordinator sh -c 'cat > /tmp/containers.toml' < "$place/study.toml"
docker compose exec -T coordinator wardround coordinator run /data /tmp/containers.toml --detach
for name in "${everywhere[@]}"; do
  until at "$name" exec -T @ wardround hospital studies --state /state | grep -q containers; do sleep 1; done
  at "$name" exec -T @ wardround hospital approve containers --state /state --yes | tail -n 1
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
for name in "${everywhere[@]}"; do
  at "$name" exec -T @ wardround hospital ledger verify --state /state | tail -n 1
  at "$name" exec -T @ wardround hospital budget --state /state --json | grep -q '"charged": 6' || fail "$name was not charged for six rounds"
done
echo "containers: done"
