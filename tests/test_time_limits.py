"""A test that hangs, or that ends its process, fails by itself; what it started is gone, and the others are run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from limits import SOME
from link import until

CONFTEST = """
import limits
limits.LIMIT_S, limits.AGAIN_S = 0.3, 0.3
from limits import *
"""
HANGS = """
import subprocess, sys, threading
import pytest

def somewhere_else(event):
    event.wait()

def test_waits_for_a_lock():
    threading.Thread(target=somewhere_else, args=[threading.Event()], daemon=True).start()
    threading.Event().wait()

def test_waits_for_a_process():
    subprocess.run(["sleep", "600"])

@pytest.fixture
def never_ends():
    yield
    threading.Event().wait()

def test_fails_and_what_ends_it_hangs(never_ends):
    try:
        assert False, "it failed"
    finally:
        threading.Event().wait()

def test_leaves_a_process():
    print(subprocess.Popen(["sleep", "600"], start_new_session=True).pid)

def test_is_run():
    pass
"""
ENDS_ITS_PROCESS = """
import os, subprocess

def test_ends_its_process():
    with open("tried", "a") as tried, open("started", "a") as started:
        tried.write("once ")
        started.write(str(subprocess.Popen(["sleep", "600"], start_new_session=True).pid))
    os._exit(1)

def test_is_run():
    pass
"""


def outcome(folder: Path, tests: str, *options: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(tests)
    left_out = {"PYTEST_XDIST_TESTRUNUID", "PYTEST_XDIST_WORKER", SOME}
    environment = {name: value for name, value in os.environ.items() if name not in left_out}
    environment |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def is_there(pid: str) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_test_that_hangs_fails_where_it_hangs_and_leaves_no_process(tmp_path: Path) -> None:
    said = outcome(tmp_path, HANGS)
    assert "3 failed, 2 passed, 1 error" in said, said
    assert said.count("a test took longer than 0.3 seconds") >= 3, said
    assert "what ends a test took longer than 0.3 seconds" in said, said
    assert "in somewhere_else" in said, "the stacks of other threads are shown"
    started = said.rpartition("Captured stdout call")[2].splitlines()[1]
    until(lambda: not is_there(started))  # the system takes a killed process away when it comes to it


@pytest.mark.slow
def test_a_test_that_ends_its_process_is_run_once_and_the_others_of_its_file_after_it(tmp_path: Path) -> None:
    said = outcome(tmp_path, ENDS_ITS_PROCESS, "-p", "xdist", "--numprocesses", "1", "--dist", "loadfile")
    assert "1 failed, 1 passed" in said, said
    assert (tmp_path / "tried").read_text() == "once "
    assert not is_there((tmp_path / "started").read_text())
