"""What all tests share."""

import os

from hypothesis import settings

from limits import (  # noqa: F401  # hooks of pytest
    pytest_handlecrashitem,
    pytest_runtest_call,
    pytest_runtest_setup,
    pytest_runtest_teardown,
    pytest_sessionfinish,
    pytest_testnodedown,
)
from wardround_common.shell.cli import NO_FORKS

os.environ.setdefault(*NO_FORKS)  # as the command does before it imports anything

# torch's threads spin while they wait for one another. Two test processes with two threads each on two cores spend
# most of their time on that; tests of what the number of threads changes set it themselves.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A pause of a busy machine is no failure of a law.
settings.register_profile("wardround", deadline=None)
settings.load_profile("wardround")
