"""The model that ships with esprobe, and how it was made.

Knows the folder of its files; `train` and `tokenizer` know Countdown. No other room knows how it was trained.
"""

BUNDLED = "countdown-tiny"
