"""Train three small studies and print the SHA-256 of their models, and one of the machine's arithmetic, as JSON.

``python tests/reference/recorded_models.py > tests/reference/recorded_models.json`` records them anew, in the
environment ``PLAIN_ARITHMETIC``. A record is renewed only by a change that is meant to change models, and says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

PLAIN_ARITHMETIC = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR",
    "OMP_NUM_THREADS": "1",
}
"""Instructions that every x86-64 machine has, so that a record holds on more than the machine that made it."""

DP = {"mechanism": "dp-sgd", "epsilon": 8.0, "delta": 1e-3, "clip_norm": 1.0}
SHARED = DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 1}
STUDIES = {
    "plain": {},
    "local noise": {"privacy": DP},
    "shared noise": {
        "privacy": SHARED,
        "training": {"rounds": 2, "local_epochs": None, "batch_size": 18},
        "aggregation": {"secure": True},
    },
}


def main() -> None:
    if any(os.environ.get(name) != value for name, value in PLAIN_ARITHMETIC.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | PLAIN_ARITHMETIC)  # noqa: S606
    here = Path(__file__).parent
    sys.path[:0] = [str(here.parent), str(here.parent / "simulation")]
    from test_run import model_numbers, phantom_study, run

    from wardround_simulation.phantoms import make_hospitals

    digests = {"arithmetic": arithmetic()}
    with tempfile.TemporaryDirectory() as place:
        hospitals = Path(place) / "hospitals"
        make_hospitals(hospitals, seed=3, hospitals=3, patients=20)
        for name, sections in STUDIES.items():
            out = Path(place) / name
            run(phantom_study(**sections), hospitals, Path(place) / "state", out)
            digests[name] = digest(model_numbers(out))
    print(json.dumps(digests, indent=1))  # noqa: T201


def arithmetic() -> str:
    """Digest a convolution with its gradient and some functions: where it differs, so may every model."""
    import numpy as np
    import torch

    numbers = np.linspace(0.01, 3, 3 * 2 * 24 * 24).reshape(3, 2, 24, 24)
    images = torch.tensor(np.sin(numbers), dtype=torch.float32)
    convolution = torch.nn.Conv2d(2, 8, 3, padding=1)
    with torch.no_grad():
        for parameter in convolution.parameters():
            parameter.copy_(torch.linspace(-0.1, 0.1, parameter.numel()).reshape(parameter.shape))
    normed = torch.nn.functional.group_norm(convolution(images).relu(), 4)
    normed.logsumexp(dim=(1, 2, 3)).sum().backward()
    results = [normed.detach().numpy(), *(parameter.grad.numpy() for parameter in convolution.parameters())]
    results += [np.log(numbers), np.cos(numbers), np.exp(numbers), np.sqrt(numbers).sum(axis=(0, 2))]
    for kind in (torch.float32, torch.float64):
        left, right = (torch.tensor(np.sin(scale * numbers), dtype=kind).reshape(6, 24, 24) for scale in (1, 7))
        results += [
            (left @ right).numpy(),
            (left.mT @ right[:, :, :5]).numpy(),
            left[0].addmm(left[1], right[2]).numpy(),
        ]
    return hashlib.sha256(b"".join([processor(), *(result.tobytes() for result in results)])).hexdigest()


def processor() -> bytes:
    """Name the kind of processor: matrix products of its maker's kernels may differ where nothing above does."""
    kinds = ("vendor_id", "cpu family", "model\t")
    said = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith(kinds)]
    return "".join(sorted(set(said))).encode()


def digest(tensors: dict[str, bytes]) -> str:
    """Digest parameters by their order alone, so that another name for one is no other model."""
    return hashlib.sha256(b"".join(tensors.values())).hexdigest()


if __name__ == "__main__":
    main()
