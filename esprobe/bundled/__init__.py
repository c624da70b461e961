"""The models that ship with esprobe, and how they were made.

Knows the folders of their files; `train` and `tokenizer` know Countdown. No other room knows how they were trained.
"""

BUNDLED = "countdown-tiny"  # of every command that is given no other
BASE = "countdown-tiny-base"  # hardly ever answers until it is trained
MODELS = (BUNDLED, BASE)
