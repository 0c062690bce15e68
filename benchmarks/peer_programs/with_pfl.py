"""pfl: its simulated backend in one process, FederatedAveraging weighted by images, no evaluation."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.pytorch import PyTorchModel
from torch import nn
from work import BATCH, HOSPITALS, RATE, ROUNDS, Arrays, Network, first_model, keep, mark


class Learner(Network):
    """The network with the two methods that pfl asks a model for."""

    def loss(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the mean loss of a batch."""
        self.train()
        return nn.functional.cross_entropy(self(images), labels)

    def metrics(self, images: torch.Tensor, labels: torch.Tensor) -> dict[str, Any]:
        """Return nothing: no evaluation is asked for."""
        return {}


class Marks(TrainingProcessCallback):
    """Marks the end of each round."""

    def after_central_iteration(
        self, aggregate_metrics: Metrics, model: PyTorchModel, *, central_iteration: int
    ) -> tuple[bool, Metrics]:
        """Mark it, and go on."""
        mark(central_iteration + 1)
        return False, Metrics()


def main() -> None:
    """Do the rounds."""
    hospitals, past = [Arrays(number) for number in range(HOSPITALS)], Counter[int]()

    def dataset(number: int) -> Dataset:
        # pfl takes a dataset's batches as they lie: each round's order is given to it.
        images, labels = hospitals[number].in_order(past[number])
        past[number] += 1
        return Dataset((images, labels), user_id=str(number))

    everybody = get_user_sampler("minimize_reuse", list(range(HOSPITALS)))
    federated = FederatedDataset(dataset, everybody)
    network = Learner()
    network.load_state_dict(first_model())
    model = PyTorchModel(network, torch.optim.SGD, torch.optim.SGD(network.parameters(), 1.0))
    backend = SimulatedBackend(federated, federated, [WeightByDatapoints()])
    rounds = NNAlgorithmParams(
        central_num_iterations=ROUNDS, evaluation_frequency=ROUNDS + 1, train_cohort_size=HOSPITALS, val_cohort_size=0
    )
    how = NNTrainHyperParams(local_num_epochs=1, local_learning_rate=RATE, local_batch_size=BATCH)
    mark(0)
    FederatedAveraging().run(rounds, backend, model, how, NNEvalHyperParams(local_batch_size=None), [Marks()])
    keep(network.state_dict())


if __name__ == "__main__":
    main()
