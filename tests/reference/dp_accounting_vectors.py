"""Epsilons by Google's dp-accounting, as vectors for the tests of our accountant.

dp-accounting (Apache-2.0) wants an attrs and a dm-tree older than ours, so that it is no dependency of the tests.
Renew the vectors in an environment of their own::

    python -m venv other && other/bin/pip install dp-accounting==0.6.0
    other/bin/python tests/reference/dp_accounting_vectors.py > tests/reference/dp_accounting.json
"""

import itertools
import json
import sys
from importlib.metadata import version

from dp_accounting import DpEvent, GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant

NOISES, RATES, STEPS, DELTAS = (0.6, 1.0, 2.0, 8.0), (0.004, 0.05, 0.3, 1.0), (1, 60, 2000), (1e-3, 1e-5, 1e-8)
HISTORIES = {
    "two alike": [(2.0, 0.1, 100), (2.0, 0.1, 50)],
    "three unlike": [(0.8, 0.005, 400), (3.0, 0.2, 100), (8.0, 1.0, 20)],
    "one strong among many weak": [(0.7, 0.5, 1), (20.0, 0.01, 5000)],
    "fifty studies": [(2.0 + 0.05 * k, 0.02 + 0.002 * k, 40 + 3 * k) for k in range(50)],
}


def event(noise: float, rate: float, steps: int) -> DpEvent:
    """Give so many sampled Gaussian sums."""
    return SelfComposedDpEvent(PoissonSampledDpEvent(rate, GaussianDpEvent(noise)), steps)


def row(events: list[tuple[float, float, int]], delta: float) -> dict[str, object]:
    """Return the events with their epsilon by privacy-loss distributions and by Rényi divergences."""
    loss, renyi = PLDAccountant(value_discretization_interval=1e-4 if len(events) < 10 else 1e-3), RdpAccountant()
    for each in events:
        loss.compose(event(*each))
        renyi.compose(event(*each))
    return {"events": events, "delta": delta, "pld": loss.get_epsilon(delta), "rdp": renyi.get_epsilon(delta)}


if __name__ == "__main__":
    rows = [row([(n, q, k)], d) for n, q, k, d in itertools.product(NOISES, RATES, STEPS, DELTAS)]
    rows = [each for each in rows if each["rdp"] < 50]  # beyond it nobody plans, and the reference takes minutes
    rows += [row(events, delta) for events, delta in itertools.product(HISTORIES.values(), (1e-5, 1e-8))]
    made_by = f"dp-accounting {version('dp-accounting')}, tests/reference/dp_accounting_vectors.py"
    rounded = [json.dumps(each | {"pld": round(each["pld"], 6), "rdp": round(each["rdp"], 6)}) for each in rows]
    sys.stdout.write(f'{{"made_by": "{made_by}", "rows": [\n' + ",\n".join(rounded) + "\n]}\n")
