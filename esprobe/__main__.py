"""`python -m esprobe` is the command `esprobe`."""

from esprobe.cli import entry_point

entry_point()
