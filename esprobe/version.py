"""Which version of esprobe this is: kept with every run, and read when the package is built."""

__version__ = "0.1.0"
