"""The tables of the report: what each says, computed from results; how it looks is the page's matter."""
