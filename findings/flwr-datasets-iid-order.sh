#!/usr/bin/env bash
# flwr-datasets 0.6.1, datasets 4.8.4.
# Behaviour: IidPartitioner, of which the reference says that each partition is "sampled randomly from the dataset",
# cuts the data set into pieces in its order, and so do the partitioners by size. FederatedDataset shuffles before; a
# data set of one's own, which Flower's guide hands over as partitioner.dataset, is not shuffled. Read folder by folder,
# as images are that lie in a folder a class, it gives each hospital patients of one class alone.
# Expected: about the same share of each class in every partition.
# Seen: "half of 600 patients are ill; of four IID partitions 0.00, 0.00, 1.00, 1.00, of four linear ones 0.00, 0.00,
# 0.33, 1.00, shuffled before 0.49, 0.53, 0.53, 0.45"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check flwr-datasets==0.6.1 datasets==4.8.4
cd "$place"
HF_HOME="$place" HF_HUB_OFFLINE=1 "$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

from datasets import Dataset
from flwr_datasets.partitioner import IidPartitioner, LinearPartitioner

patients = Dataset.from_dict({"ill": [0] * 300 + [1] * 300})


def shares(partitioner, patients):
    """Return the share of the ill in each partition."""
    partitioner.dataset = patients
    parts = [partitioner.load_partition(number)["ill"] for number in range(partitioner.num_partitions)]
    return [sum(part) / len(part) for part in parts]


iid, linear = shares(IidPartitioner(4), patients), shares(LinearPartitioner(4), patients)
shuffled = shares(IidPartitioner(4), patients.shuffle(seed=0))
assert "sampled randomly" in IidPartitioner.__doc__
print(
    f"half of 600 patients are ill; of four IID partitions {', '.join(f'{it:.2f}' for it in iid)}, of four linear ones "
    f"{', '.join(f'{it:.2f}' for it in linear)}, shuffled before {', '.join(f'{it:.2f}' for it in shuffled)}"
)
sys.exit(not (iid == [0, 0, 1, 1] and linear[0] == 0 and linear[3] == 1 and 0.3 < min(shuffled) < max(shuffled) < 0.7))
PYTHON
