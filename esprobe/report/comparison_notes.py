"""The sentences of a comparison of two arms: what its columns mean, what would be unfair to leave unsaid.

Knows what a comparison contains. Must not know tables or the database.
"""

from collections.abc import Collection, Iterator

from esprobe.analysis.best import unlike
from esprobe.analysis.chosen import SPLITS, Draws, Halves
from esprobe.analysis.comparison import Comparison
from esprobe.report.notes import noise_notes
from esprobe.report.words import agree, arm_name, beyond, counted, p_words, percent, points


def comparison_notes(one: Comparison, a: str, b: str, columns: Collection[str]) -> list[str]:
    """One line for each thing to know; `a` and `b` are the names of the arms, `columns` those of pass@k that are shown."""
    if not one.solved_anything:
        return [*_columns(one, a, b, columns), *_limits(one), *_fairness(one)]
    return [
        *_columns(one, a, b, columns),
        *_limits(one),
        *_fairness(one),
        *_doubts(one, a, b),
        *_choice(one),
        *_models(one),
    ]


def _columns(one: Comparison, a: str, b: str, columns: Collection[str]) -> Iterator[str]:
    difference = f"difference: {a} − {b} in percentage points, paired by problem, with the 95% interval of each k by itself"
    p = "; p: of no difference" if "p" in columns else ""
    bootstrap = " bootstrap: the interval from resampled problems and perturbed models." if "bootstrap" in columns else ""
    yield f"{difference}{p}.{bootstrap}"
    if "union" in columns:
        yield "union: k/2 draws of each arm, the same budget as k of one."
    if one.solved_anything:
        yield from _changed(one, a, b)
    last = one.steps[-1]
    if last.chance is not None:
        floor = " greedy+: the greedy answer and k − 1 guesses." if "greedy+" in columns else ""
        scored = f"{percent(last.chance)} at k = {last.difference.k}"
        yield f"chance: guessing alone, with uniformly random valid answers, would score {scored}.{floor}"


def _changed(one: Comparison, a: str, b: str) -> Iterator[str]:
    """What is meant by won, lost and ballots, and how much of the first two would be there between equals."""
    known = [(a, one.changes.first_luck), (b, one.changes.second_luck)]
    luck = [f"{each:.1f} ({name})" for name, each in known if each is not None]
    yield (
        f"won, lost: problems that k draws of {a} solve and k draws of {b} do not, and the reverse (progressions and "
        "regressions), expected over all choices of draws; won less lost is the difference."
        + (f" Luck alone does so too: at k = 1, of two draws of one arm each wins {' or '.join(luck)} problems." if luck else "")
    )
    if any(change.first_ballots is not None or change.second_ballots is not None for change in one.changes.at):
        yield "ballots: how many of the answers of k draws differ, as votes count them; a draw without an answer has none."


def _limits(one: Comparison) -> Iterator[str]:
    """What no arm can reach, and what these draws cannot show."""
    if one.too_deep:
        yield f"note: both arms have only {counted(one.depth, 'draw')}, so there is no {beyond(one.too_deep)}."
    if one.unknown < one.problems:
        most = one.solvable + one.unknown
        bound = f"at most {most:,}" if one.unknown else f"{most:,}"
        apart = f"; {one.unknown:,} of them {agree(one.unknown, 'is', 'are')} not proven solvable" if one.unknown else ""
        yield f"ceiling: {bound} of {counted(one.problems, 'problem')} can be solved{apart}."
    if not one.solved_anything:
        return
    if one.cover:
        chance = "; chance: the same of random valid answers" if one.cover[0].chance is not None else ""
        yield (
            f"cover@τ: the share of problems of which at least a share τ of the draws is right{chance}. A τ below "
            f"2/{one.depth} is left out, since one lucky draw would suffice."
        )
    else:
        yield f"cover@τ is left out: with {counted(one.depth, 'draw')} one lucky draw would suffice at any τ."


def _fairness(one: Comparison) -> Iterator[str]:
    last = one.steps[-1]
    for share, what in ((last.chance, "random valid answers"), (last.floor, "the greedy answer and guesses")):
        if share is not None and share >= max(last.difference.first, last.difference.second):
            yield f"At k = {last.difference.k} {what} ({percent(share)}) do at least as well as either arm."
            break
    solves = "" if one.greedy is None else f"greedy decoding solves {percent(one.greedy)}. "
    yield (
        f"fair comparison: {solves}One greedy answer, of this or of a trained model, is to be compared with pass@1, "
        "never with pass@k."
    )
    names = unlike(one.first, one.second)
    if names:
        both = ", ".join(f"{key} ({one.first.settings[key]} / {one.second.settings[key]})" for key in names)
        yield f"note: the arms also differ in {both}."
    yield from noise_notes([one.first, one.second])
    if one.common_seeds:
        yield (
            f"shared directions: {counted(one.common_seeds, 'model')} of either arm "
            f"{agree(one.common_seeds, 'has the same seed, so it is', 'have the same seeds, so they are')} the same "
            f"{agree(one.common_seeds, 'direction', 'directions')} at another σ, and the arms are not independent."
        )
    for arm, count in zip((one.first, one.second), one.trained_on, strict=True):
        if count:
            yield f"note: {arm.model} was trained on {count:,} of {counted(one.problems, 'problem')}."
    if one.left_out:
        them = agree(one.left_out, "it", "them")
        yield f"note: {counted(one.left_out, 'problem', 'is', 'are')} left out: only one arm has {them}, or with fewer draws."


def _doubts(one: Comparison, a: str, b: str) -> Iterator[str]:
    """Intervals of the difference that do not exist or are not trustworthy, and the test that does not apply."""
    doubts: dict[str, list[int]] = {}
    for step in one.steps:
        interval = step.difference.interval
        if interval is not None and interval.doubt:
            doubts.setdefault(interval.doubt, []).append(step.difference.k)
    for why, ks in doubts.items():
        yield f"not trustworthy: the interval at k = {', '.join(map(str, ks))}: {why}."
    if any(step.difference.interval is None for step in one.steps):
        single = " and ".join(
            name for name, arm in ((a, one.first), (b, one.second)) if arm.shares_draws and arm.draws <= arm.samples
        )
        yield f"1 model: {single or 'one arm'} is a single perturbed model, so that the difference has no interval and no p."
    if one.overlap.p is None:
        yield "McNemar's test is left out: it does not apply to models that all problems share; the difference's interval does."


def _choice(one: Comparison) -> Iterator[str]:
    """How the two arms came to be compared, and what that does to the difference."""
    if one.choice is None:
        yield "These arms were named, not chosen; if their own results led to them, the difference flatters the better one."
        return
    for arm, tied in zip((one.first, one.second), one.choice.tied, strict=True):
        if len(tied) > 1:
            yield f"tie: {len(tied)} {arm.method} arms are equally good at k = {one.choice.k}; {arm_name(arm)} is shown."
    if all(len(found) == 1 for found in one.choice.candidates):
        yield "There is one arm of each kind, so no winner was chosen."
    elif one.halves is not None:
        yield _curse(one.halves, one)
    if one.choice.left_out:
        left_out = len(one.choice.left_out)
        yield (
            f"note: {counted(left_out, 'arm', 'has', 'have')} fewer draws or other problems and "
            f"{agree(left_out, 'was no candidate', 'were no candidates')}."
        )


def _curse(halves: Halves, one: Comparison) -> str:
    those = "problems" if halves.problems == one.problems else f"{counted(halves.problems, 'problem')} that every candidate has"
    doubt = "" if halves.interval is None or halves.interval.trustworthy else f" (not trustworthy: {halves.interval.doubt})"
    arms = f"{halves.first_arms} temperature and {counted(halves.second_arms, 'perturbation arm')}"
    return (
        f"winner's curse: these are the best of {arms} on the same problems and draws, which flatters both. Chosen on one half "
        f"of the {those} and of the draws and compared on the other half of both, {SPLITS} random splits: pass@{halves.k} "
        f"{percent(halves.first)} against {percent(halves.second)}, difference {points(halves.difference, halves.interval)} "
        f"points{doubt}; without such a split {points(halves.flattered)}. The choice was the same {100 * halves.same:.0f}% of "
        "the time."
    )


def _models(one: Comparison) -> Iterator[str]:
    for draws in one.draws:
        yield " ".join(_of_models(draws))


def _of_models(draws: Draws) -> Iterator[str]:
    """A perturbation arm's models one by one: how many beat greedy decoding, how much of that is luck, what the best is worth."""
    models = f"{counted(draws.count, 'perturbed model')} of {arm_name(draws.arm)}"
    if draws.greedy is None or draws.better is None:
        solve = agree(draws.count, "solves", "solve")
        yield f"{models} {solve} {percent(draws.mean)} on average; there is no greedy baseline to beat."
    else:
        beat = agree(draws.better, "beats", "beat")
        yield (
            f"{draws.better:,} of {models} {beat} greedy decoding ({percent(draws.greedy)}) on these problems; on average they "
            f"solve {percent(draws.mean)}."
        )
    if draws.spread is not None:
        s = draws.spread
        p = "" if s.p is None else f" ({p_words(s.p)} of none)"
        truly = f"what remains is a true difference of {100 * s.tau:.1f} points" if s.true > 0 else "no true difference remains"
        seen, luck = 100 * s.observed**0.5, 100 * s.luck**0.5
        yield (
            f"Their accuracies have a standard deviation of {seen:.1f} points; luck alone would give {luck:.1f}, and {truly}{p}."
        )
    if draws.held_out is not None:
        h = draws.held_out
        over = "" if h.over_greedy is None else f", {points(h.over_greedy, h.interval)} points over greedy decoding there"
        yield (
            f"The best of {h.models:,}, chosen on one half of the problems, has {percent(h.on_chosen)} there and "
            f"{percent(h.on_held)} on the other half{over}."
        )
