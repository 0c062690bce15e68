"""The report of a run: one page that a hospital's board can read, drawn from ``Results`` alone."""

from wardround_server.report.summary import summary as summary
from wardround_server.report.write import write_report as write_report
