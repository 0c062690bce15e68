"""Write the report of an invented run: ``python -m wardround_server.report FOLDER``."""

import sys
from pathlib import Path

from wardround_server.report.example import example
from wardround_server.report.write import write_report

if len(sys.argv) != 2:
    sys.exit("Say where: python -m wardround_server.report FOLDER")
write_report(example(), Path(sys.argv[1]))
