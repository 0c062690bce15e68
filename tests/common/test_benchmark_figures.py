"""The figures that README.md and docs/benchmarks.md state are those of benchmarks/results, to the digits stated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/benchmarks.md")

# By what a row holds: the result, and what the row states of it.
ROWS = [
    (
        "3 seeds: federated",
        "brain_mri",
        "{auroc_federated:.3f} / {auroc_pooled:.3f} / {auroc_alone_best:.3f}",
    ),
    ("that could hardly differ more", "chest_xray", "{auroc_federated:.3f} / {auroc_pooled:.3f}"),
    ("Boxes around tumours", "medicine", "{ap_federated:.3f} / {ap_pooled:.3f} / {ap_alone_best:.3f}"),
    ("Outlines of tumours", "segmentation", "{dice_federated:.3f} / {dice_pooled:.3f}"),
    (
        "local / distributed / central",
        "privacy",
        "{auroc_local_eps8:.3f} / {auroc_distributed_eps8:.3f} / {auroc_central_eps8:.3f}",
    ),
    (
        "slices among their series",
        "medicine_privacy",
        "{auroc_eps8_best:.3f} / {auroc_eps3_best:.3f} / {auroc_eps1_best:.3f}",
    ),
    ("that secure sums make", "secagg", "{auroc_difference:.4f}"),
    ("one lying hospital moves", "robust", "{largest_shift_over_clip:.3f}"),
    ("Proven lower bound", "audit_privacy", "{audit_lower_bound:.2f}"),
    (
        "canary audit",
        "audit_privacy",
        "{claimed_epsilon:.2f} / {audit_lower_bound:.2f}; {false_claim:.2f} / {audit_lower_bound_of_false_claim:.2f}",
    ),
    (
        "intervals of 95 % hold",
        "intervals",
        "{sums_half_auroc_of_100:.3f} / {patients_half_auroc_of_100:.3f}; "
        "{sums_risk_c_index_of_100:.3f}, {sums_outline_dice_of_100:.3f}",
    ),
    (
        "made up for the image",
        "noised",
        "{attack_e4:.2f} / {attack_e2:.2f} / {attack_e1:.2f}; "
        "{moved_half_1000_e4:.3f}, {moved_half_1000_e2:.3f}, {moved_half_1000_e1:.3f}",
    ),
    (
        "Images cut to the body",
        "crop",
        "{auroc_crop_stored_whole:.3f} / {auroc_crop_stored_cut:.3f}; "
        "{auroc_crop_framed_whole:.3f} / {auroc_crop_framed_cut:.3f}",
    ),
    ("over the plain one, `small-cnn`", "dp_step", "{small_cnn_ours:.2f}"),
    ("`resnet18` with 16 and 32", "dp_step", "{resnet18_ours:.2f}, {resnet18_batch32_ours:.2f}"),
    ("`unet`, `densenet121`", "dp_step", "{unet_ours:.2f}, {densenet121_ours:.2f}"),
    ("Peak memory of a private", "dp_step", "{resnet18_memory:.2f}"),
    ("on one H200", "gpu", "{resnet18_224_64_ours_time:.2f}"),
    ("10 / 100 hospitals", "simulation", "{overhead_1_worker_10:.2f} / {overhead_1_worker_100:.2f}"),
    ("1,000 hospitals", "simulation", "{secure_1000_round_over_plain:.2f}"),
    ("Secure round of 1,000", "simulation", "{secure_1000_peak_gb:.2f} GB"),
    ("Two workers over", "simulation", "{speedup_2_workers:.2f}"),
    ("speed of two workers", "simulation", "{speedup_2_workers:.2f}"),
    ("to the first round", "simulation", "{first_round_s:.1f}"),
    (
        "The same training elsewhere",
        "peers",
        "{wardround_round_over_bare:.2f} / {pfl_round_over_bare:.2f} / {flower_round_over_bare:.2f} / "
        "{flare_round_over_bare:.2f}",
    ),
    (
        "Exponent of seconds",
        "growth",
        "{hospitals_s_exponent:.2f}, {parameters_s_exponent:.2f}, {images_intake_s_exponent:.2f}",
    ),
    ("Flower's SecAgg+", "deployment", "{stock_over_ours_round_overhead:.0f}"),
    ("mpty ", "deployment", "{empty_exchange_s:.2f} s"),
    ("two threads / one", "secagg", "{mask_speedup_over_flower:.0f} / {mask_speedup_over_flower_one_thread:.0f}"),
    ("20 dropped", "secagg", "{server_20pct_dropped_s:.1f} s"),
    (
        "irst scan",
        "scan",
        "{scan_ratio_1_worker:.2f} / {scan_ratio_2_workers:.2f}; {scan_and_prepare_over_loop:.2f}",
    ),
    ("Assembling series", "volumes", "{prepare_over_read:.2f}"),
    ("`wardround predict`", "use", "{predict_over_plain:.2f}"),
    ("health check", "commands", "{help_s:.2f} s; {health_s:.2f} s"),
    ("Lines for an own network", "doors", "{lines_own_network} / {lines_own_strategy} / {lines_own_loss}"),
]


def rows() -> list[str]:
    return [line for page in PAGES for line in (ROOT / page).read_text().splitlines() if line.startswith("|")]


@pytest.mark.parametrize(("told_by", "result", "stated"), ROWS, ids=[told_by for told_by, _, _ in ROWS])
def test_a_row_states_what_was_measured(told_by: str, result: str, stated: str) -> None:
    figures = json.loads((ROOT / "benchmarks" / "results" / f"{result}.json").read_text())
    found = [row for row in rows() if told_by in row.split("|")[1]]
    assert found, f"no row tells of {told_by!r}"
    for row in found:
        assert stated.format(**figures) in row
