"""Flower's default workflow with SecAgg+; the seconds of each round go to the file that the run's ``times`` names."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from flwr.app import Context
from flwr.common import ndarrays_to_parameters
from flwr.server import LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_PARAMS_RECORD
from flwr.serverapp import Grid

MOST_ERROR = 1e-3  # of one parameter, by quantisation

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the rounds; one that SecAgg+ gives up is not written down."""
    hospitals, rounds = int(context.run_config["hospitals"]), int(context.run_config["rounds"])
    times = Path(str(context.run_config["times"]))
    vector = np.random.default_rng(0).uniform(size=int(context.run_config["parameters"])).astype(np.float32)
    strategy = FedAvg(
        fraction_evaluate=0.0,
        min_fit_clients=hospitals,
        min_available_clients=hospitals,
        initial_parameters=ndarrays_to_parameters([vector]),
    )
    secure = SecAggPlusWorkflow(num_shares=hospitals, reconstruction_threshold=hospitals - 1)

    def timed(grid: Grid, legacy: Context) -> None:
        before = legacy.state.array_records[MAIN_PARAMS_RECORD]
        began = time.perf_counter()
        secure(grid, legacy)
        seconds = time.perf_counter() - began
        after = legacy.state.array_records[MAIN_PARAMS_RECORD]
        [mean] = after.to_numpy_ndarrays()
        if after is before or np.abs(mean - vector).max() > MOST_ERROR:
            raise RuntimeError("SecAgg+ gave no mean of what it was given")
        with times.open("a") as file:
            file.write(f"{seconds}\n")

    legacy = LegacyContext(context=context, config=ServerConfig(num_rounds=rounds), strategy=strategy)
    DefaultWorkflow(fit_workflow=timed)(grid, legacy)
