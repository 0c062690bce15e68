"""FedProx: averages as FedAvg does, and each hospital's local work is held to the round's first parameters.

Li et al., *Federated optimization in heterogeneous networks*, MLSys 2020, section 3.2.
"""

from __future__ import annotations

from wardround_common.section import Rate
from wardround_common.strategies import fedavg
from wardround_common.strategies.contract import Key, Strategy

PROXIMAL_MU = Key(
    "proximal_mu", Rate, 0.01, "how strongly a hospital's model is held to the one that the round began with."
)

STRATEGY = Strategy(
    name="fedprox",
    words="averages the updates by training images; each hospital stays near the round's start (FedProx)",
    not_of_a_step="so that nothing strays from its start; write 'fedavg'",
    keys=(PROXIMAL_MU,),
    step=fedavg.step,
    proximal=PROXIMAL_MU.name,
)
