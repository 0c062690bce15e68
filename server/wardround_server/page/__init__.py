"""The coordinator's pages: hospitals, runs with their curves, reports and releases, in a browser on its machine."""
