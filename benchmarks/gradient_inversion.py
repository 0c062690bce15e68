"""What an attacker makes of one update, bare, noised, masked and summed, of four made-up patients; nothing is kept.

Run with ``python benchmarks/gradient_inversion.py``; the pictures of one such attack are in a run's evidence pack.
"""

from __future__ import annotations

import torch
from rich.console import Console
from rich.table import Table

from wardround_client.training.local_work import PrivacyPlan
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.template import DEFAULTS
from wardround_simulation.attacks.inversion import attack

PATIENTS = 4
NOISE = 0.6


def main() -> None:
    """Attack each patient's update and print how near the pictures are."""
    torch.set_num_threads(1)
    plan = PrivacyPlan(delta=1e-5, noise_multiplier=NOISE, sampling_rate=1.0, steps_a_round=1)
    table = Table(title=f"gradient inversion, clip 1, noise multiplier {NOISE:g}")
    for head in ("patient", "the attacker has", "PSNR, dB", "SSIM"):
        table.add_column(head)
    for seed in range(PATIENTS):
        for network in ("small-cnn", "tiny-cnn"):
            tables = {section: dict(values) for section, values in DEFAULTS.items()}
            tables["model"]["network"] = network
            report = attack(Study.model_validate(tables), plan, insecure_stream(seed), lambda done, of: None)
            shown = report.inversions if network == "small-cnn" else report.inversions[-1:]
            for found in shown:
                table.add_row(str(seed), found.seen, f"{found.psnr_db:.1f}", f"{found.ssim:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
