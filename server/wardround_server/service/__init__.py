"""The coordinator service: runs, enrolment, metrics, and the commands of its staff."""
