"""Why an engine on Ray gave no answer, in a few words, out of the many that Ray has for it.

Knows how Ray words its errors, not what becomes of the engine. Ids, places and amounts are left out, so that the same cause has
the same words each time, by which the pool recognises one that would come again.
"""

from esprobe.errors import one_line

_MARKS = "Worker exit detail: ", " is unavailable: "  # what follows is the cause


def why_failed(error: Exception) -> str:
    """The cause, from what Ray raised in place of an answer, or from the error that the engine itself raised."""
    from ray.exceptions import OutOfMemoryError, RayActorError

    if isinstance(error, OutOfMemoryError):
        return "its process died: out of memory"
    if isinstance(error, RayActorError):
        return f"its process died: {_death(error.error_msg, error.actor_init_failed)}"
    return one_line(getattr(error, "cause", None) or error)


def _death(said: str, at_start: bool) -> str:
    """Ray's heading, then the actor's ids, indented, then the cause; of an error in the process's start, a traceback."""
    lines = [line for line in said.splitlines() if line.strip() and not line.startswith("\t")]
    cause = lines[-1] if at_start else "".join(lines[1:2]) or lines[0]
    for mark in _MARKS:
        cause = cause.rpartition(mark)[2]
    if "End of file" in cause:  # all that Ray sees of it; a page of guesses follows
        return "killed, perhaps for lack of memory, or crashed"
    return one_line(RuntimeError(cause.removeprefix("Worker exits unexpectedly. ").rstrip(".")))
