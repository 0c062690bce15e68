#!/usr/bin/env bash
# MONAI 1.6.1, torch 2.13.0, einops 0.8.2, numpy 2.4.6.
# Behaviour: with use_flash_attention attention is given its rate of dropout whether the network is trained or not:
# SABlock and CrossAttentionBlock, and the transformers and diffusion models that are made of them, give another answer
# each time after eval(). At a rate of 0.2 the answers for one image vary as much as those for its patches do.
# Expected: dropout in training alone, as the same blocks have it without use_flash_attention, with the same weights.
# Seen: "deviation of 100 answers for one image after eval(), over that between tokens: SABlock 0.00, with flash
# attention 1.04; CrossAttentionBlock 0.00, with flash attention 1.04; at a rate of 0 both give the same to 1e-05: True"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0
"$place/env/bin/pip" install --quiet --disable-pip-version-check monai==1.6.1 einops==0.8.2 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from monai.networks.blocks import CrossAttentionBlock, SABlock

torch.manual_seed(0)
tokens = torch.randn(1, 64, 48)  # an image of 64 patches


def answers(block, flash, rate, count=100):
    """Return answers (count, 64, 48) for the same tokens, of the same weights, after eval()."""
    torch.manual_seed(1)
    layer = block(48, 4, dropout_rate=rate, use_flash_attention=flash).eval()
    with torch.no_grad():
        return torch.cat([layer(tokens) for _ in range(count)])


seen, same = {}, True
for block in (SABlock, CrossAttentionBlock):
    for flash in (False, True):
        every = answers(block, flash, 0.2)
        seen[block.__name__, flash] = float(every.std(0).mean() / every.mean(0).std(0).mean())
    same = same and torch.allclose(answers(block, True, 0.0, 1), answers(block, False, 0.0, 1), atol=1e-5)
print(
    "deviation of 100 answers for one image after eval(), over that between tokens: "
    + "; ".join(
        f"{name} {seen[name, False]:.2f}, with flash attention {seen[name, True]:.2f}"
        for name in ("SABlock", "CrossAttentionBlock")
    )
    + f"; at a rate of 0 both give the same to 1e-05: {same}"
)
sys.exit(not (same and all((value > 0.1) == flash for (_, flash), value in seen.items())))
PYTHON
