"""Terminals that sell without pause, each from a thread of its own, and remember every answer they were given."""

from __future__ import annotations

import threading
from typing import Self

from protocol import PEER_CLOSED
from protocol.codec import encode
from protocol.messages import SaleAnswer, SaleRequest
from tests.end_to_end.process import CARD, OTHER_CARD, HostProcess
from tests.wire import PATIENCE_S, Till, Wire


class Seller:
    """One terminal: what it has been answered, and what it has sent without an answer."""

    def __init__(self, till: Till) -> None:
        self.till = till
        self.answered: list[tuple[SaleRequest, bytes]] = []
        """Each sale with the bytes of its answer."""
        self.in_doubt: SaleRequest | None = None
        self.failure: BaseException | None = None

    def sell_on(self, wire: Wire, on_answer: threading.Semaphore) -> None:
        """Sell until the host is gone."""
        try:
            with wire:
                while self._sell(wire):
                    on_answer.release()
        except BaseException as error:
            self.failure = error

    def _sell(self, wire: Wire) -> bool:
        number = self.till.stan + 1
        self.in_doubt = self.till.sale((CARD, OTHER_CARD)[number % 2], amount_fen=1 + number % 7)
        try:
            wire.say(self.in_doubt)
        except (BrokenPipeError, ConnectionResetError):
            return False
        answer = wire.hear()
        if answer is PEER_CLOSED:
            return False
        assert isinstance(answer, SaleAnswer)
        assert answer.response_code == "00"
        self.answered.append((self.in_doubt, encode(answer)))
        self.in_doubt = None
        return True


class Rush:
    """Sellers at work on a host. Inside `with`, they sell; at its end they have all stopped, as the host is gone."""

    def __init__(self, host: HostProcess, sellers: list[Seller]) -> None:
        self.sellers = sellers
        self._answers = threading.Semaphore(0)
        self._threads = [
            threading.Thread(target=seller.sell_on, args=(host.sign_on(seller.till), self._answers), daemon=True)
            for seller in sellers
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()

    def wait_answers(self, count: int) -> None:
        """Until so many answers have come in, whoever got them."""
        for _ in range(count):
            assert self._answers.acquire(timeout=PATIENCE_S)

    def failures(self) -> list[BaseException]:
        return [seller.failure for seller in self.sellers if seller.failure is not None]
