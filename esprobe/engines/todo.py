"""What is left to do, handed out such that an engine keeps its weights while there is work for them.

Knows that pieces of work name their weights, and nothing else about them; reads no further ahead than it must.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any


class Todo:
    """Pieces of work in order, those of equal `weights` in a row.

    Pieces that are not perturbed are as many as the draws of an arm, so none of them is ever passed over; those of one perturbed
    model are as many as its problems need, and are kept in hand while another engine begins with the next model.
    """

    def __init__(self, work: Iterable[Any]) -> None:
        self.source = iter(work)
        self.ahead: deque[Any] = deque()  # the next piece of the source, once it was looked at
        self.begun: Any = None  # the weights of the last piece that came from the source
        self.kept: dict[Any, deque[Any]] = {}  # weights → pieces that were passed over or given back; none is empty

    def __bool__(self) -> bool:
        return bool(self.kept) or self._peek() is not None

    def take(self, last: Any) -> Any:
        """The next piece for the engine that did `last` (None: it has done nothing yet); None when nothing is left."""
        own = None if last is None else last.weights
        if own in self.kept:
            return self._of_kept(own)
        while (piece := self._peek()) is not None and piece.weights.perturbation and piece.weights == self.begun != own:
            self.kept.setdefault(self.begun, deque()).append(self._next())  # for the engine that began with these weights
        if piece is not None:
            return self._next()
        return self._of_kept(next(iter(self.kept))) if self.kept else None

    def give_back(self, piece: Any) -> None:
        """To be done again, before other pieces that were passed over."""
        pieces = self.kept.pop(piece.weights, deque())
        pieces.appendleft(piece)
        self.kept = {piece.weights: pieces, **self.kept}

    def _peek(self) -> Any:
        if not self.ahead:
            self.ahead.extend(islice(self.source, 1))
        return self.ahead[0] if self.ahead else None

    def _next(self) -> Any:
        piece = self.ahead.popleft()
        self.begun = piece.weights
        return piece

    def _of_kept(self, weights: Any) -> Any:
        pieces = self.kept[weights]
        if len(pieces) == 1:
            del self.kept[weights]
        return pieces.popleft()
