"""What the commands and services of all packages share: help, options, logs, settings, metrics."""
