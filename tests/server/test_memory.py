"""What a coordinator's process does with memory that is free."""

from __future__ import annotations

import asyncio.sslproto
import platform
import subprocess
import sys

import pytest

from wardround_server.service.memory import LARGE, give_large_buffers_back

SIZE, COUNT, KEPT = 300_000, 400, 8  # bytes, buffers, and one in this many that stays
SHORT_AND_LONG_LIVES = f"""
from pathlib import Path

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

FIRST
for _ in range(3):
    bytearray({SIZE})  # what was freed once teaches the C library to keep its like
before = resident()
lives = [bytearray(b"x") * {SIZE} for _ in range({COUNT})]
lives = lives[::{KEPT}]
print(resident() - before)
"""


def grown(first: str) -> int:
    """Say by how many bytes a process is larger when most of its buffers are freed again."""
    script = SHORT_AND_LONG_LIVES.replace("FIRST", first)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is the GNU C library that keeps them")
def test_buffers_that_are_free_are_not_kept_between_those_that_live() -> None:
    live = SIZE * COUNT // KEPT
    assert grown("pass") > 4 * live
    ours = f"from {give_large_buffers_back.__module__} import give_large_buffers_back; give_large_buffers_back()"
    assert grown(ours) < 2 * live


CAME_AND_WENT = f"""
import resource
from wardround_server.service.memory import give_large_buffers_back
give_large_buffers_back()
for turn in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        bytes(bytearray({2**18}))
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is the GNU C library that takes them")
def test_what_tls_is_read_into_is_not_taken_from_the_system_anew_for_each_read() -> None:
    done = subprocess.run([sys.executable, "-c", CAME_AND_WENT], capture_output=True, check=True, timeout=60)
    assert int(done.stdout) < 100  # page faults; a buffer has 64 pages
    assert sys.getsizeof(bytes(asyncio.sslproto.SSLProtocol.max_size)) + 64 < LARGE < SIZE
