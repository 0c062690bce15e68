"""What all tests share."""

import gc
import os
from collections.abc import Iterator
from typing import IO

import pytest
from hypothesis import HealthCheck, settings

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
settings.register_profile("wardround", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("wardround")

# Their slow tests take a minute or more: begun first (`make test-slow`), so that none is left for the end, when the
# other worker has nothing to do. pytest-xdist's own order is by the number of tests.
LONGEST = [
    "test_installation",
    "test_services",
    "test_operations",
    "test_backup_of_a_run",
    "test_simulate_command",
    "test_kill",
    "test_by_name",
    "test_demo",
    "test_pages_walk",
    "test_no_telemetry",
    "test_deployment",
    "test_ledger",
    "test_killed_baselines",
    "test_outlining_run",
    "test_release",
    "test_soak",
    "test_plugin_example",
    "test_package",
    "test_benchmarks",
    "test_readme",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    gc.freeze()  # to look through all modules again at each full collection takes more than half a second


@pytest.fixture(scope="module")
def undrawn() -> Iterator[None]:
    """Leave out what is drawn in reports, where no test looks at it: it is half of what a small run costs."""
    from matplotlib.figure import Figure

    def save_nothing(figure: Figure, out: IO[str], **_: object) -> None:
        out.write("<svg ></svg>")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", save_nothing)
        yield
