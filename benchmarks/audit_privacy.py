"""Does the training keep to the epsilon that it claims? A canary audit in one run, on made-up patients.

Run with ``make audit-privacy``. With other settings (``--epsilon``, ``--canaries``, ``--batch``, ``--rounds``,
``--seed``) the figures are printed and not kept. The training is the hospital's own DP-SGD; the auditor reads each
step's noisy sum and chooses the parameters. Each lower bound holds with 95 % confidence; the second one is of another
run, with its own coins and noise, whose stated claim is a tenth of what was trained with: it must exceed that.
"""

from __future__ import annotations

import argparse

import torch
from rich.progress import Progress

from measure import report
from wardround_client.training.local_work import plan_privacy
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.template import DEFAULTS
from wardround_simulation.attacks.canaries import audit, canaries_for

MEANINGS = {
    "claimed_epsilon": "what the accountant says that the training costs (PRV, an upper bound)",
    "audit_lower_bound": "what the audit shows that it costs at least; must be below the claim",
    "false_claim": "a tenth of the truth, stated on purpose",
    "audit_lower_bound_of_false_claim": "what the audit of that run shows; must be above the false claim",
}
STANDARD = {"epsilon": 8.0, "canaries": 5000, "batch": 1250, "rounds": 10, "seed": 0}


def study(epsilon: float, batch: int, rounds: int) -> Study:
    """Return the study that is audited: the default one, of this epsilon."""
    tables = {section: dict(values) for section, values in DEFAULTS.items()}
    tables["privacy"] |= {"epsilon": epsilon}
    tables["training"] |= {"batch_size": batch, "rounds": rounds}
    return Study.model_validate(tables)


def main() -> None:
    """Audit an honest claim and a false one."""
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in STANDARD.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    asked = parser.parse_args()
    of = study(asked.epsilon, asked.batch, asked.rounds)
    plan = plan_privacy(of, asked.canaries)
    if plan is None:
        raise SystemExit("the study has no differential privacy")
    claimed, steps = plan.epsilon_after(asked.rounds), asked.rounds * plan.steps_a_round
    found = []
    with Progress() as progress:
        for run in ("honest claim", "false claim"):
            task = progress.add_task(f"Audit of the {run}", total=steps)
            auditor, hospital = (insecure_stream(asked.seed, run, who) for who in ("auditor", "hospital"))
            canaries = canaries_for(plan.delta, asked.canaries)
            audited = audit(
                of, plan, steps, canaries, auditor, hospital, lambda done, _, t=task: progress.update(t, completed=done)
            )
            found.append(audited.epsilon_at_least)
            progress.console.print(
                f"{run}: {steps} steps at rate {plan.sampling_rate:g}, noise {plan.noise_multiplier:.3f} planned "
                f"and {audited.noise_found:.3f} found; {audited.right} of {audited.guesses} guesses about {canaries} "
                f"canaries are right: epsilon is at least {audited.epsilon_at_least:.3f} at delta {plan.delta:g}"
            )
    figures = {
        "claimed_epsilon": claimed,
        "audit_lower_bound": found[0],
        "false_claim": claimed / 10,
        "audit_lower_bound_of_false_claim": found[1],
    }
    if vars(asked) == STANDARD:
        report("audit_privacy", figures, MEANINGS)
    if not found[0] < claimed or not found[1] > claimed / 10:
        raise SystemExit("the audit does not say what it must: a claim is broken, or the audit is too weak")


if __name__ == "__main__":
    main()
