"""What every table, view and column of the database means, in one sentence each, for programs that show them to people.

Knows words only; a test compares the names with the schema.
"""

from typing import Any

# Columns that mean the same wherever they are.
_EVERYWHERE = {
    "arm_id": "The arm: arm.id",
    "problem_id": "The problem: problem.id",
    "run_id": "The run that generated it: run.id",
    "task": "What is asked, such as countdown or gsm8k",
    "model": "Name of the model; a trained one is NAME@ITERATION",
    "method": "How rollouts are drawn: greedy, by temperature or perturbation, or imported",
    "value": "The temperature T, or the standard deviation σ of the noise; NULL for greedy decoding",
    "scorer": "Rule of the verdicts; one rollout scored by two scorers is two rows, so name one",
    "draw": "Number of the draw, from 0; in a perturbation arm one perturbed model, which all problems share",
    "seed": "Seed of the draw's noise; in views as text, since many readers round numbers above 2^53",
    "sigma": "Standard deviation σ of the draw's noise",
    "payload": "The problem as JSON, as its task defines it",
    "correct": "Whether the answer is correct: 1 or 0; in sums, how many are",
    "answer": "The answer as it was found in the text",
    "ballot": "The canonical value under which two rollouts vote alike; NULL for none",
    "expression": "A stricter ballot: an expression in normal form; NULL where answers have none",
    "reason": "Why the verdict is what it is, of a small fixed set of words",
    "reward": "From 0 to 1, what training can maximise; in views of draws the mean over problems",
    "text": "What the model wrote, with the prompt's prefill",
    "tokens": "How many tokens were generated",
    "prompt_tokens": "How many tokens the prompt has; NULL for imported rollouts",
    "finish": "Why the generation ended: stop, length (the limit of tokens), nan or imported",
    "problems": "How many problems the row rests on",
    "k": "Number of draws that are taken: 1, 2, 4, … and all",
    "chance": "The same for uniformly random valid answers, counted exactly; NULL where it is not known",
    "settings": "Everything else that changes the distribution of the rollouts, as JSON",
}

_VOTES = {"vote_at_k": "Probability that the most frequent ballot of k draws is correct; ties are shared equally"}

# Table or view → (what it is, its other columns).
DESCRIPTIONS: dict[str, tuple[str, dict[str, str]]] = {
    "solved": (
        "Arm × problem: how many draws are scored, and how many of them are correct",
        {"n": "Scored draws", "c": "Correct draws"},
    ),
    "pass_at_k": (
        "Arm × k: how often at least one of k draws is correct, estimated without bias from all draws (Chen et al. 2021)",
        {
            "pass_at_k": "1 − C(n−c, k) / C(n, k), mean over the problems with at least k draws",
            "stderr": "Standard error of that mean over problems; `esprobe report` adds what shared perturbed models add",
        },
    ),
    "vote_at_k": ("Arm × k: how often the most frequent value of k draws is correct", _VOTES),
    "vote_at_k_by_expression": (
        "The same with expressions in normal form as ballots; only of arms in which every ballot has one",
        _VOTES,
    ),
    "arm_summary": (
        "Arm: what it has, how much of it is correct, how long its rollouts are",
        {
            "draws": "Draws, the most that any problem has",
            "rollouts": "Scored rollouts",
            "problems_solved": "Problems that at least one draw solves",
            "mean_tokens": "Mean number of generated tokens",
            "mean_prompt_tokens": "Mean number of tokens of the prompts",
            "cut_off": "Rollouts that ended at the limit of tokens",
            "nan": "Rollouts that ended because the model's output was no number",
            "solvable": "Problems proven to have a solution",
            "unknown": "Problems of which neither a solution nor its absence is proven",
        },
    ),
    "rollout_text": (
        "Scored rollout: its text, verdict and problem",
        {
            "rollout_id": "The rollout: rollout.id",
            "numbers": "Countdown: the numbers that are given, as JSON",
            "target": "Countdown: the value to reach",
        },
    ),
    "draw_accuracy": (
        "Arm × draw over all problems: in a perturbation arm, every perturbed model",
        {"accuracy": "Share of the problems that the draw solves"},
    ),
    "cover_at_tau": (
        "Arm × τ: the share of problems that at least a share τ of the draws solves (Dragoi et al. 2025)",
        {"tau": "Share τ of the draws", "cover_at_tau": "Share of the problems"},
    ),
    "training": (
        "Trained model, with what it cost and what its members were worth",
        {
            "name": "Name of the training",
            "iteration": "How many updates lead to the model from its root",
            "parent": "Name of the model that the last update changed",
            "rollouts_spent": "Rollouts of all iterations so far",
            "tokens_spent": "Tokens of all iterations so far",
            "members": "Perturbed models that the last update was made of",
            "mean_reward": "Their mean reward",
            "best_reward": "The reward of the best of them",
            "mean_accuracy": "Their mean share of correct answers",
        },
    ),
    "model": (
        "Model, by the content of the files that loading reads",
        {
            "id": "Number of the row",
            "digest": "SHA-256 of the content, 32 hex digits",
            "name": "What it is called: what it was when first seen, unless it was named since",
            "folder": "Where its files were last found on this machine; NULL where its name finds them",
            "parent_id": "Of a trained model: the one that its last update changed",
            "updates": "Of a trained model: seeds and coefficients of its last update, as JSON",
            "arm_id": "Of a trained model: the arm whose rollouts its last update comes from",
        },
    ),
    "problem": (
        "Problem of a task, with what is proven of it; NULL is unknown",
        {
            "id": "Number of the row",
            "digest": "SHA-256 of task and payload, 32 hex digits",
            "solvable": "Whether it has a solution: 1 or 0",
            "solution": "A solution",
            "chance": "Probability that a uniformly random valid answer is correct",
            "stratum": "Its group; Countdown: how many numbers it has",
            "outcomes": "How many distinct values valid answers have",
        },
    ),
    "arm": (
        "Arm: one setting that rollouts are drawn from, identified by exactly what changes their distribution",
        {
            "id": "Number of the row",
            "digest": "SHA-256 of model, method, value and settings, 32 hex digits",
            "model_id": "The model: model.id",
            "rounding": "What the weights' dtype leaves of σ, by group of weights, as JSON",
        },
    ),
    "prompt": (
        "Arm × problem: what the model was asked",
        {"digest": "SHA-256 of the prompt's token ids, 32 hex digits"},
    ),
    "draw": ("Arm × draw: the perturbation, where the draw is a perturbed model", {"number": "Number of the draw, from 0"}),
    "rollout": ("Arm × draw × problem: one generated text", {"id": "Number of the row"}),
    "score": ("Rollout × scorer: the verdict", {}),
    "run": (
        "Invocation that produced rollouts",
        {
            "id": "Number of the row",
            "uuid": "Identifies the run in any database that it was merged into",
            "command": "The command line",
            "versions": "Package → version, as JSON",
            "machine": "Where it ran, as JSON",
            "started": "When it began, UTC, ISO 8601",
            "last_write": "When it last wrote rollouts; NULL where it wrote none, or with an older esprobe",
            "ended": "When it ended; NULL while it runs, or where it was killed",
            "state": "running, done, interrupted, failed or killed",
            "message": "What happened on the way",
        },
    ),
}


def describe(table: str, column: str) -> str:
    """What a column of a table or view means. Raises KeyError for one that has no description."""
    own = DESCRIPTIONS[table][1]
    return own[column] if column in own else _EVERYWHERE[column]


def datasette_metadata(database: str, columns: dict[str, list[str]]) -> dict[str, Any]:
    """What Datasette takes as `--metadata` for the database of this name, with `columns`: table or view → its columns."""
    tables: dict[str, Any] = {
        table: {"description": DESCRIPTIONS[table][0], "columns": {column: describe(table, column) for column in names}}
        for table, names in columns.items()
    }
    about = "Every rollout of esprobe with its text and its verdict; the views have pass@k, vote@k and more"
    return {"databases": {database: {"description": about, "tables": tables | {"alembic_version": {"hidden": True}}}}}
