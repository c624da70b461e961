"""How rollouts are drawn: one row per method, and the only module that names a method by its string.

Knows names, symbols and what values a method can have. Must not know how a method is carried out, counted or drawn in a plot.
"""

from dataclasses import dataclass
from typing import Literal, cast

# spelled out, for the type checker and the command line
MethodName = Literal["greedy", "temperature", "perturbation", "imported"]

# Logits of language models are of the order of ten, and float32 tells such numbers apart by 1e-6: below this temperature the
# softmax leaves every token but the likeliest a probability of 0.
LEAST_TEMPERATURE = 1e-6
MOST = 1000.0  # of T and of σ


@dataclass(frozen=True)
class Method:
    """One way to draw rollouts.

    `symbol` is written before a value, `noun` in sentences, `title` in headings; `defaults` are the values of a sweep that names
    none. An arm of a method without `valued` has no value. `shares_draws`: a draw is one perturbed model that answers all
    problems, so that its luck does not average out over them; otherwise the draws of every problem are independent.
    """

    name: MethodName
    symbol: str
    noun: str
    title: str
    defaults: tuple[float, ...] = ()
    valued: bool = True
    shares_draws: bool = False

    def refusal(self, value: float) -> str | None:
        """Why no arm can be sampled at this value, in words; None if one can."""
        if not 0 < value < MOST:
            return f"{self.noun} must be above 0 (and below {MOST:g}), not {value:g}; {self.symbol} = 0 is the greedy baseline"
        if self is TEMPERATURE and value < LEAST_TEMPERATURE:
            return (
                f"{self.symbol} = {value:g} is greedy decoding in all but name, every draw the same; "
                f"take at least {LEAST_TEMPERATURE:g}, or the greedy baseline"
            )
        return None


GREEDY = Method("greedy", "greedy", "greedy decoding", "greedy decoding", valued=False)
TEMPERATURE = Method("temperature", "T", "a temperature", "temperature sampling", defaults=(0.4, 0.8, 1.2))
PERTURBATION = Method("perturbation", "σ", "σ", "weight perturbation", defaults=(0.003, 0.01, 0.02), shares_draws=True)
IMPORTED = Method("imported", "imported", "imported rollouts", "imported rollouts")

IN_ORDER = (GREEDY, TEMPERATURE, PERTURBATION, IMPORTED)  # of reports
SAMPLED = (TEMPERATURE, PERTURBATION, IMPORTED)  # with draws that differ
COMPARED = (TEMPERATURE, PERTURBATION)  # by default
NAMES: tuple[str, ...] = tuple(method.name for method in IN_ORDER)

_BY_NAME: dict[str, Method] = {method.name: method for method in IN_ORDER}


def named(name: str) -> Method:
    """The method of this name. An unknown one, which a database may contain, is taken for one that shares no draws."""
    return _BY_NAME.get(name) or Method(cast(MethodName, name), name, name, name)


def place(name: str) -> int:
    """Where an arm of this method is in a report; an unknown method comes last."""
    return NAMES.index(name) if name in NAMES else len(NAMES)
