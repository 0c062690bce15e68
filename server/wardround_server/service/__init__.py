"""A coordinator that serves: runs, enrolment, metrics, and the commands of its people."""
