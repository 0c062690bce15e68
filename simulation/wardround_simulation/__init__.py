"""A federation on one machine, with the very code that hospitals and coordinator run."""
