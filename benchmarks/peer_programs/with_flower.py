"""Flower's own simulation: its message API, its FedAvg, the Ray backend with one actor of one CPU, no evaluation."""

from __future__ import annotations

from flower_client import client
from flwr.app import ArrayRecord, ConfigRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from work import HOSPITALS, ROUNDS, first_model, keep, mark

server = ServerApp()


def over(past: int, arrays: ArrayRecord) -> None:
    """Mark the end of each round, where a researcher would evaluate."""
    mark(past)


@server.main()
def serve(grid: Grid, context: Context) -> None:
    """Do the rounds."""
    result = FedAvg(fraction_evaluate=0.0, min_train_nodes=HOSPITALS, min_available_nodes=HOSPITALS).start(
        grid, ArrayRecord(first_model()), ROUNDS, train_config=ConfigRecord(), evaluate_fn=over
    )
    keep(result.arrays.to_torch_state_dict())


if __name__ == "__main__":
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=HOSPITALS,
        backend_config={
            "init_args": {"address": "local", "num_cpus": 1},
            "client_resources": {"num_cpus": 1, "num_gpus": 0.0},
        },
    )
