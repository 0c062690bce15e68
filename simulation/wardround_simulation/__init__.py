"""A federation on one machine, with the same code that hospitals and coordinator run."""
