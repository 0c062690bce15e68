"""Plug-ins: packages of somebody else's that add parts such as networks and tasks, run only as they were approved."""
