"""The socket by which a coordinator is commanded."""

import os
import stat
from pathlib import Path

from wardround_server.service.admin import NAME, Admin, command


def test_only_the_user_that_serves_can_reach_the_socket(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        admin = Admin(tmp_path, lambda asked: asked["what"])
    finally:
        os.umask(before)
    try:
        assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
        assert command(tmp_path, "status") == "status"
    finally:
        admin.close()
