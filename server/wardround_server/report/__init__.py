"""The report of a run: one page that a hospital's board can read, drawn from ``Results`` alone."""
