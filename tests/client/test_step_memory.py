"""A training step takes its memory from the system once, and not in each step."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from wardround_client.training import memory

STEPS = """
import resource
FIRST
for turn in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [bytearray(size << 20) for size in (1, 8, 4, 16, 2, 8, 4, 20, 1, 16)]
    del held
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults_of_the_last_step(first: str) -> int:
    script = STEPS.replace("FIRST", first)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is the GNU C library that gives memory back")
def test_a_step_finds_the_memory_of_the_step_before_it() -> None:
    pages = 80 * 2**20 // 2**12
    assert faults_of_the_last_step("pass") > pages / 2
    # the file by itself: its package would import torch, which has freed this and that before
    assert faults_of_the_last_step(f"import runpy; runpy.run_path({memory.__file__!r})['keep_memory']()") < pages / 20
