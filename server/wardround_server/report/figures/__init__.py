"""The figures of the report: matplotlib figures as inline SVG in one style."""
