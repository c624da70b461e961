"""Does evolution-strategies fine-tuning find anything that sampling the base model would not? esprobe measures it."""

__version__ = "0.1.0"
