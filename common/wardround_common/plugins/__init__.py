"""Plug-ins: packages of somebody else's that add networks, strategies and tasks, run only as they were approved."""
