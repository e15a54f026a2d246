"""Parameters (参数下载): fetched when the host names another version of them than the terminal has."""

from __future__ import annotations

from math import inf
from typing import Final

from protocol.messages import Message, ParametersAnswer, ParametersRequest, Reject
from terminal_emulator.flows import APPROVED
from terminal_emulator.parameters import parameters_of
from terminal_emulator.record import Record
from terminal_emulator.till import Till

RETRY_S: Final = 60.0
"""After no answer, or one that says nothing: the terminal goes on with what it has."""


class ParametersFlow:
    """`wanted` is the version that the host named last."""

    __slots__ = ("_due_s", "_till", "wanted")

    def __init__(self, till: Till) -> None:
        self.wanted = till.parameters.config_version
        self._till = till
        self._due_s = 0.0

    def named(self, config_version: int, now_s: float) -> None:
        """The host has said which version is in force."""
        if config_version != self.wanted:
            self.wanted = config_version
            self._due_s = now_s

    def next_request(self, now_s: float) -> Message | None:
        """See Flow."""
        if self.wanted == self._till.parameters.config_version or now_s < self._due_s:
            return None
        return ParametersRequest()

    def fits(self, message: Message) -> bool:
        """See Flow."""
        return isinstance(message, ParametersAnswer | Reject)

    def answered(self, message: Message, now_s: float) -> Record | None:
        """See Flow."""
        if isinstance(message, ParametersAnswer) and message.response_code == APPROVED:
            self._till.keep(parameters_of(message))
            self.wanted = message.config_version
            return None
        return self.unanswered(now_s)

    def unanswered(self, now_s: float) -> Record | None:
        """See Flow."""
        self._due_s = now_s + RETRY_S
        return None

    def deadline_s(self, now_s: float) -> float:
        """See Flow."""
        return inf if self.wanted == self._till.parameters.config_version else self._due_s
