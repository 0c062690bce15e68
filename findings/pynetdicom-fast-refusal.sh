#!/usr/bin/env bash
# pynetdicom 3.0.4, pydicom 3.0.2.
# Behaviour: an archive that refuses an association is said to have broken off, where its answer is read and the socket
# closed before the thread that asked has looked whether there is a connection. That happens by chance on a busy
# machine with an archive nearby; here a handler of EVT_REQUESTED, which runs in that thread, takes half a second. Then
# is_rejected is False, is_aborted True, and acceptor.primitive None: nothing tells "called AE title not recognised",
# or "busy, try again", from a line that was cut. The refusal did arrive: a handler of EVT_PDU_RECV has it.
# Expected: rejected, with its reason, as without the delay.
# Seen: "at once: rejected True, aborted False, Called AE title not recognised (arrived: Called AE title not
# recognised); half a second later: rejected False, aborted True, None (arrived: Called AE title not recognised)"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check pynetdicom==3.0.4 pydicom==3.0.2
cd "$place"
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys
import time

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

archive = AE("ARCHIVE")
archive.require_called_aet = True
archive.add_supported_context(Verification)
server = archive.start_server(("127.0.0.1", 0), block=False)
port = server.socket.getsockname()[1]
asking = AE("HOSPITAL")
asking.add_requested_context(Verification)
seen = []
for name, delay in (("at once", 0.0), ("half a second later", 0.5)):
    came = []
    handlers = [
        (evt.EVT_REQUESTED, lambda event, delay=delay: time.sleep(delay)),
        (evt.EVT_PDU_RECV, lambda event: came.append(event.pdu)),
    ]
    association = asking.associate("127.0.0.1", port, ae_title="OTHER", evt_handlers=handlers)
    answer = association.acceptor.primitive
    words = None if answer is None else answer.reason_str
    seen.append(
        f"{name}: rejected {association.is_rejected}, aborted {association.is_aborted}, {words}"
        f" (arrived: {came[0].reason_str})"
    )
server.shutdown()
line = "; ".join(seen)
print(line)
expected = (
    "at once: rejected True, aborted False, Called AE title not recognised (arrived: Called AE title not recognised); "
    "half a second later: rejected False, aborted True, None (arrived: Called AE title not recognised)"
)
sys.exit(0 if line == expected else "this has changed")
PYTHON
