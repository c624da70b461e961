"""What a sweep would generate, in numbers: of each arm how much is asked for and how much is lacking. Knows no database."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class ArmOutlook:
    """A part of the work by its name: how many rollouts are asked for, and how many of them the database lacks."""

    label: str
    asked: int
    lacking: int


@dataclass(frozen=True)
class Outlook:
    """A sweep before it runs. `tokens` and `seconds` go by the model's last finished run; None without one."""

    model: str
    backend: str
    dtype: str
    arms: Sequence[ArmOutlook]
    most_tokens: int  # that the lacking rollouts can have
    tokens: float | None
    seconds: float | None
    unevaluated: bool = False  # a training none of whose models is evaluated

    @property
    def asked(self) -> int:
        """How many rollouts are asked for in all."""
        return sum(arm.asked for arm in self.arms)

    @property
    def lacking(self) -> int:
        """How many of them would be generated."""
        return sum(arm.lacking for arm in self.arms)
