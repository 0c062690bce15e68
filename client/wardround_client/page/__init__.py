"""The hospital's pages: what its service does, studies, budget and audit log, in a browser on its machine."""
