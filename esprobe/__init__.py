"""Does evolution strategies need the training, or would sampling have found the answers anyway? esprobe measures it."""

__version__ = "0.1.0"
