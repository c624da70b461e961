"""`python -m esprobe` is the command `esprobe`."""

from esprobe.cli.main import entry_point

entry_point()
