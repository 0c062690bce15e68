"""Fifty hospitals, a hundred rounds, one in ten dropping out at random: no wrong sum, and nothing that grows.

Run by ``make soak``. The hospitals are in this process and speak HTTP over TLS to a coordinator in its own; their
updates are made up, so that each sum is known to the last bit (``tests/soaking.py``). ``python benchmarks/soak.py
HOSPITALS ROUNDS`` runs another size, and writes no figures.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from measure import report
from soaking import Look, NotSoakedError, Plan, Soaked, soak

FULL = Plan(hospitals=50, rounds=100, size=100_000)
SETTLED = 20  # rounds after which the coordinator's memory must not grow any more
MOST_GROWTH = 0.05
STOPPED = 130  # the exit status of what Ctrl-C ended
MEANINGS = {
    "hospitals": "in-process links over TLS, each with its own key",
    "rounds": "of secure sums",
    "numbers": "of a model",
    "seconds": "all of it, on this machine",
    "right_sums": "rounds whose model is that of the survivors' integers, byte for byte",
    "wrong_sums": "the others",
    "dropped": "times that a hospital dropped out: before it trained, before it sent, at confirming, at opening",
    "missing": "times that a round was summed without a hospital",
    "rss_settled_mib": f"the coordinator's resident memory, median of rounds {SETTLED} to {SETTLED + 9}",
    "rss_end_mib": "the same, median of the last ten rounds",
    "rss_growth": "the latter over the former, less one",
    "open_files_growth": "open files and connections, likewise",
    "threads_growth": "threads, likewise",
    "disk_growth": "bytes of all files in the coordinator's folder, likewise",
    "rows_growth": "rows of all tables of its database, likewise",
    "coordinator_cpu_s_per_round": "processor time of the coordinator",
}


def growth(looks: tuple[Look, ...], name: str) -> tuple[float, float]:
    """Return a figure when the coordinator has settled, and at the end."""
    values = [float(getattr(look, name)) for look in looks[:-1]]  # the last look is after the run
    first = min(SETTLED, len(values) // 2)
    return statistics.median(values[first - 1 : first + 9]), statistics.median(values[-10:])


def figures(plan: Plan, soaked: Soaked) -> dict[str, float]:
    """Put what a soak found into figures."""
    found = {name: growth(soaked.looks, name) for name in ("rss_mib", "open_files", "threads", "disk_mib", "rows")}
    over = {name: after / before - 1 for name, (before, after) in found.items()}
    cpu = (soaked.looks[-2].cpu_s - soaked.looks[0].cpu_s) / max(1, len(soaked.looks) - 2)
    return {
        "hospitals": plan.hospitals,
        "rounds": plan.rounds,
        "numbers": plan.size,
        "seconds": soaked.seconds,
        "right_sums": len(soaked.books.right),
        "wrong_sums": len(soaked.books.wrong),
        "dropped": soaked.books.drops.total(),
        "missing": soaked.absent,
        "rss_settled_mib": found["rss_mib"][0],
        "rss_end_mib": found["rss_mib"][1],
        "rss_growth": over["rss_mib"],
        "open_files_growth": over["open_files"],
        "threads_growth": over["threads"],
        "disk_growth": over["disk_mib"],
        "rows_growth": over["rows"],
        "coordinator_cpu_s_per_round": cpu,
    }


def main() -> int:
    """Soak, print the table, and say whether the claims hold."""
    plan = Plan(int(sys.argv[1]), int(sys.argv[2]), FULL.size) if len(sys.argv) > 2 else FULL
    try:
        with tempfile.TemporaryDirectory() as folder:
            soaked = soak(plan, Path(folder), tell)
    except NotSoakedError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped before the last round: nothing was written.", file=sys.stderr)
        return STOPPED
    found = figures(plan, soaked)
    if plan == FULL:
        report("soak", found, MEANINGS)
    else:
        for name, value in found.items():
            print(f"{name:30} {value:.3f}")
    print(f"the run is {soaked.standing['stage']}; dropped out: {dict(soaked.books.drops)}")
    if soaked.skipped:
        print(f"rounds that too few could open, and that were given up: {', '.join(map(str, soaked.skipped))}")
    held = (
        found["right_sums"] + len(soaked.skipped) == plan.rounds
        and not soaked.books.wrong
        and found["rss_growth"] <= MOST_GROWTH
    )
    return 0 if held else 1


def tell(look: Look) -> None:
    """Say where it is."""
    size = f"{look.rss_mib:6.0f} MiB  {look.open_files:4} open  {look.rows} rows  {look.disk_mib:.0f} MiB on disk"
    print(f"round {look.number:3}  {look.at:6.0f} s  {size}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
