"""A service whose disk can be full, a sign of life each second: ``python operated.py FOLDER WHO wardround's words``.

As :mod:`faults.mortal`: ``FOLDER/WHO.full`` fills the disk for this process as long as it is there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from faults.mortal import fill_the_disk_of


def main() -> None:
    folder, who, *words = sys.argv[1:]
    fill_the_disk_of(Path(folder) / f"{who}.full")
    if words[0] == "hospital":
        from wardround_client.link import supernode

        supernode.HEARTBEAT_S = 1.0
    from wardround_common.shell.cli import main as wardround

    sys.argv = ["wardround", *words]
    wardround()


if __name__ == "__main__":
    main()
