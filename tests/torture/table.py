"""The table of all that is tortured: what lies on the disk, what is then done, with which limits made small."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from tests.torture.subjects import Contents, Subject


class Scenario(NamedTuple):
    """`play(life)` on a disk that holds `base()`. `patches` are limits made small, as (object, attribute, value)."""

    name: str
    subject: Subject
    base: Callable[[], Contents]
    play: Callable[[Any], None]
    patches: tuple[tuple[Any, str, Any], ...] = ()
    create: bool = False
    sick: bool = False
    """It makes its disk fail itself: no further faults are put in."""

    @contextmanager
    def limits(self) -> Iterator[None]:
        """The small limits hold while the context lasts, in what recovers, too."""
        with ExitStack() as stack:
            for target, name, value in self.patches:
                stack.enter_context(patch.object(target, name, value))
            yield


SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(
    subject: Subject,
    base: Callable[[], Contents],
    *patches: tuple[Any, str, Any],
    create: bool = False,
    opened: bool = True,
    sick: bool = False,
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Enter a function into the table under its own name; unless told otherwise it finds its program open."""

    def enter(play: Callable[[Any], None]) -> Callable[[Any], None]:
        name = play.__name__.strip("_").replace("_", "-")

        def played(life: Any) -> None:
            if opened:
                life.open()
            play(life)

        SCENARIOS[name] = Scenario(name, subject, base, functools.wraps(play)(played), patches, create, sick)
        return play

    return enter
