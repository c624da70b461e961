"""Plots of what choosing among perturbed models is worth: best of N, each model on train and test problems, votes of K.

Knows a selection and the style. A function returns a figure, or in a few words why these data make none.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from esprobe.analysis.selection import Selection
from esprobe.methods import PERTURBATION, TEMPERATURE
from esprobe.report.files import slug
from esprobe.report.plots import style
from esprobe.report.plots.output import drawing_into, save_each, wanted
from esprobe.report.render import shown
from esprobe.report.words import arm_name, counted, percent
from esprobe.stats.reselection import DECIDING, HALVES
from esprobe.stats.selection import BY_EXPRESSION
from esprobe.stats.student import t_quantile

MANY = 2000  # points that an SVG should not hold one by one
NOTHING = "no sample of these models is correct"


def best_of_n(one: Selection) -> Figure | str:
    """The best of N models on the problems that it was chosen on, and on the others, with what equal models would show."""
    if not _solves(one):
        return NOTHING
    notes = [
        f"band: 95% interval on test, over problems and models{_bounded(one)}",
        "grey: 95% of populations of equally good models",
        _divided(one),
    ]
    made, (axes,) = style.figure(f"{_best_found(one)}\n{_about(one)}", notes)
    colour = style.METHOD[PERTURBATION.name]
    for quantity, line, label in (
        ("best_train_null", "--", "equal models, on train"),
        ("best_test_null", ":", "equal models, on test"),
    ):
        _curve(axes, one, quantity, style.GREY, line, label)
    _curve(axes, one, "best_train", colour, "--", "on train, where it was chosen", band=False)
    _curve(axes, one, "best_test", colour, "-", "on test", marker=style.MARKER[PERTURBATION.name])
    greedy = one.selected.at("base_greedy").get(None)
    if greedy is not None:
        axes.axhline(greedy.value, color="black", lw=1.2, ls=(0, (1, 1)), label="base, greedily, on test")
    tested = [figure.interval.high for figure in one.selected.at("best_test").values() if figure.interval]
    style.percent(axes, top=style.headroom([*tested, *(figure.value for figure in one.selected.at("best_train").values())]))
    style.draws_axis(axes, one.models)
    axes.set_xlabel("N (models to choose from)")
    axes.set_ylabel("share of problems solved, greedily" if one.samples == 1 else "share of samples that are correct")
    style.legend(axes)
    return made


def test_against_train(one: Selection) -> Figure | str:
    """Each model as a point: how good it is on the test problems, given how good on the train problems; the regression line."""
    if np.ptp(one.on_train) == 0:
        return "needs models that differ on the train problems"
    slope, start = np.polyfit(one.on_train, one.on_test, 1)
    said = _slope(one, float(slope))
    notes = ["slope 1: all of a model's lead is kept; 0: it was luck", _divided(one, single=True)]
    made, (axes,) = style.figure(f"Of a model's lead on train problems {said} is kept on test problems\n{_about(one)}", notes)
    many = one.models > MANY
    colour = style.METHOD[PERTURBATION.name]
    axes.scatter(one.on_train, one.on_test, s=18, color=colour, alpha=0.5, lw=0, label="a model", rasterized=many, zorder=3)
    ends = np.array([one.on_train.min(), one.on_train.max()])
    axes.plot(ends, start + slope * ends, color="black", lw=1.6, label=f"regression, slope {said}", zorder=4)
    axes.axhline(one.on_test.mean(), color=style.GREY, lw=1.0, ls="--", label="mean of all models")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=7))
    low, high = axes.get_ylim()
    style.percent(axes)
    axes.set_ylim(max(0.0, low), min(1.0, high))
    left, right = axes.get_xlim()
    style.percent(axes, "x")
    axes.set_xlim(max(0.0, left), min(1.0, right))
    axes.set_xlabel("accuracy on the train problems")
    axes.set_ylabel("accuracy on the test problems")
    style.legend(axes)
    return made


def votes(one: Selection) -> Figure | str:
    """The vote of the best K models, and whether any is right, compared with random models and with samples at a temperature."""
    if len(one.ks) < 2:
        return "needs at least two K"
    if not _solves(one):
        return NOTHING
    notes = [f"bands: 95% intervals over problems and models{_bounded(one)}", f"ballots: {_key(one)}", _divided(one)]
    made, both = style.figure(f"{_votes_found(one)}\n{_about(one)}", notes, columns=2)
    perturbed, sampled = style.METHOD[PERTURBATION.name], style.METHOD[TEMPERATURE.name]
    tops = []
    for axes, title, names in (
        (both[0], "vote", ("vote_test", "vote_random", "temperature_vote")),
        (both[1], "any of the K is right", ("any_test", "any_random", "temperature_pass")),
    ):
        _curve(axes, one, names[1], style.GREY, "--", "random K models", band=False)
        _curve(axes, one, names[2], sampled, "-", "K samples at the best T", style.MARKER[TEMPERATURE.name])
        _curve(axes, one, names[0], perturbed, "-", "best K models", style.MARKER[PERTURBATION.name])
        tops += [figure.interval.high if figure.interval else figure.value for figure in one.selected.at(names[0]).values()]
        tops += [figure.value for name in names[1:] for figure in one.selected.at(name).values()]
        axes.set_title(title, fontsize=9)
        style.draws_axis(axes, one.ks[-1])
        axes.set_xlabel("K (models or samples)")
    if one.votes_by_expression:
        for quantity, colour, label in (("temperature_vote", sampled, "K samples"), ("vote_test", perturbed, "best K models")):
            if not one.selected.at(f"{quantity}{BY_EXPRESSION}"):
                continue
            _curve(both[0], one, f"{quantity}{BY_EXPRESSION}", colour, ":", label, band=False)
            both[1].plot([], [], color=colour, ls=":", label=f"{label}, vote by expression")  # for the one legend
    style.percent(both[0], top=style.headroom(tops))
    both[0].set_ylabel("share of test problems solved")
    style.legend(both[1])
    return made


def _solves(one: Selection) -> bool:
    """Whether any sample of the models is correct."""
    return bool(one.on_train.any() or one.on_test.any())


def _curve(
    axes: Axes, one: Selection, quantity: str, colour: str, line: str, label: str, marker: str = "", band: bool = True
) -> None:
    figures = one.selected.at(quantity)
    places = [at for at in figures if at is not None]
    if not places:
        return
    axes.plot(places, [figures[at].value for at in places], color=colour, ls=line, marker=marker, label=label, zorder=3)
    intervals = [figures[at].interval for at in places]
    known = [(place, found.low, found.high) for place, found in zip(places, intervals, strict=True) if found is not None]
    if band and known:
        at, low, high = zip(*known, strict=True)
        axes.fill_between(at, low, high, color=colour, alpha=0.14, lw=0, zorder=1)


def _best_found(one: Selection) -> str:
    """What the best of all models solves where it was chosen and where not, and what the unchanged model solves there."""
    size = max(at for at in one.selected.at("best_test") if at is not None)
    test, train = (one.selected.at(f"best_{part}")[size] for part in ("test", "train"))
    text = f"The best of {counted(size, 'model')} solves {percent(train.value)} where it was chosen, "
    text += f"{percent(test.value, test.interval)} on test problems"
    greedy = one.selected.at("base_greedy").get(None)
    return text if greedy is None else f"{text}; the base, greedily, {percent(greedy.value)}"


def _slope(one: Selection, slope: float) -> str:
    """The slope with its 95% interval over models, of ordinary least squares: s² = Σr²/(n − 2)/Σ(x − x̄)²."""
    freedom = one.models - 2
    if freedom < 1:
        return f"{slope:.2f}".replace("-", "−")
    x, y = one.on_train - one.on_train.mean(), one.on_test - one.on_test.mean()
    half = t_quantile(freedom) * float(np.sqrt(((y - slope * x) ** 2).sum() / freedom / (x**2).sum()))
    return f"{slope:.2f} [{slope - half:.2f}, {slope + half:.2f}]".replace("-", "−")


def _votes_found(one: Selection) -> str:
    """The best K models and as many samples at the largest K that both have, by vote and with a verifier."""
    parts = []
    for way, ours, theirs in (
        ("by vote", "vote_test", "temperature_vote"),
        ("with a verifier", "any_test", "temperature_pass"),
    ):
        models, samples = one.selected.at(ours), one.selected.at(theirs)
        sizes = [at for at in models if at is not None and (at in samples or not samples)]
        if sizes:
            k = max(sizes)
            rival = f", {k:,} samples {percent(samples[k].value)}" if samples else ""
            parts.append(f"{way} the best {k:,} models solve {percent(models[k].value, models[k].interval)}{rival}")
    text = "; ".join(parts)
    return text[:1].upper() + text[1:]


def _about(one: Selection) -> str:
    names = " and ".join(arm_name(arm) for arm in one.arms)
    return f"{style.short(shown(one.arms[0].model))}: {one.models:,} models, {names}, {one.problems:,} problems"


def _bounded(one: Selection) -> str:
    return f", where at least {DECIDING} models decide" if one.train is None else ""


def _divided(one: Selection, single: bool = False) -> str:
    if one.train is not None:
        return f"chosen on {one.train:,} given problems, tested on {one.problems - one.train:,}"
    return (
        "train: one random half of the problems, test: the other"
        if single
        else f"mean over {HALVES} random halves, both ways round"
    )


def _key(one: Selection) -> str:
    return "by value, so that two expressions of one value vote alike" if one.arms[0].task == "countdown" else "canonical answers"


PLOTS: dict[str, Callable[[Selection], Figure | str]] = {
    "select-best-of-n": best_of_n,
    "select-test-against-train": test_against_train,
    "select-votes": votes,
}


def save_selection(selected: Sequence[Selection], folder: Path, names: Sequence[str] = ()) -> list[str]:
    """Writes the plots of every population, or those of these names; returns a line for each file and each plot skipped.

    Raises UserError for an unknown name, or where the folder cannot be written.
    """
    chosen = wanted(list(PLOTS), names)
    with drawing_into(folder, "".join(map(_about, selected))) as lines:
        for one in selected:
            start = "-".join([slug(one.arms[0].model), "arm", *(str(arm.arm_id) for arm in one.arms)])
            lines += save_each([(f"{start}-{name}", partial(PLOTS[name], one)) for name in chosen], folder)
    return lines
