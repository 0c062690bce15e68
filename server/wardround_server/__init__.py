"""What the coordinator runs: rounds, averaging, checkpoints, report. No torch, no images."""
