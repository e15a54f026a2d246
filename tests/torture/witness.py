"""What one life of a program has shown to the outside, and from which operation of the disk on."""

from __future__ import annotations

from typing import Any, NamedTuple


class Violated(AssertionError):
    """A rule that holds whatever the disk does was seen to be broken."""


class Mark(NamedTuple):
    """From operation `at` on (so many were done), `state` may be found; when `promised`, nothing older may be."""

    at: int
    state: str
    promised: bool


class Answer(NamedTuple):
    """A question and the answer somebody was given when so many operations were done."""

    at: int
    question: Any
    answer: Any


class Witness:
    """Marks and answers in their order. A state is a fingerprint of all that must survive; at the start it is
    `state`, or one of `others`."""

    def __init__(self, state: str, *others: str) -> None:
        self.marks = [Mark(0, state, promised=True), *(Mark(0, other, promised=False) for other in others)]
        self.answers: list[Answer] = []
        self.planned: Witness | None = None
        """Of a life in which something fails: what is witnessed when nothing does."""

    @property
    def promised(self) -> str:
        """The state that stands now."""
        return next(mark.state for mark in reversed(self.marks) if mark.promised)

    def saw(self, at: int, state: str) -> None:
        """A state that may be found from now on, though nobody was told that it stands."""
        self.marks.append(Mark(at, state, promised=False))

    def promise(self, at: int, state: str) -> None:
        """Somebody was told: this state stands."""
        self.marks.append(Mark(at, state, promised=True))

    def found(self, at: int, state: str) -> None:
        """A start answers from this state from now on. Violated if it may not be."""
        allowed = self.allowed(at)
        if state not in allowed:
            raise Violated(f"a start expected one of the states {sorted(allowed)}, found {state}")
        self.promise(at, state)

    def following(self, state: str) -> set[str]:
        """States that may come right after this one."""
        found: set[str] = set()
        for place, mark in enumerate(self.marks):
            if mark.promised and mark.state == state:
                found |= self._until_promise(place + 1)
        return found

    def _until_promise(self, place: int) -> set[str]:
        states = set()
        for mark in self.marks[place:]:
            states.add(mark.state)
            if mark.promised:
                break
        return states

    def answered(self, at: int, question: Any, answer: Any) -> None:
        """Whoever asks the same again must get this answer."""
        self.answers.append(Answer(at, question, answer))

    def allowed(self, at: int) -> set[str]:
        """States that may be found when all ended after `at` operations: the one promised last, what was seen since,
        and the one whose promise was on its way."""
        first = max(place for place, mark in enumerate(self.marks) if mark.promised and mark.at <= at)
        states = {self.marks[first].state} | self._until_promise(first + 1)
        return states if self.planned is None else states | self.planned.following(self.marks[first].state)

    def answers_by(self, at: int) -> list[tuple[Any, Any]]:
        """Questions and answers given by then."""
        return [(question, answer) for given_at, question, answer in self.answers if given_at <= at]
