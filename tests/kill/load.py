"""The load side, a process that may be killed as well: terminals sell without pause and believe only their records.

`python -m tests.kill.load FOLDER SEED PATIENCE_S` with keys.json in the folder. It reads addresses of hosts from its
standard input ("HOST PORT" a line) and says what happens on its standard output, one event a line: the kind and the
terminal, then what belongs to it. It ends when its input does.
"""

from __future__ import annotations

import json
import random
import sys
import threading
from pathlib import Path
from typing import Final, TypeVar

from protocol import PEER_CLOSED, ProtocolError, TerminalNumber
from protocol.codec import decode, encode
from protocol.messages import (
    Auth,
    Challenge,
    Message,
    QueryAnswer,
    Ready,
    ReversalAnswer,
    SaleAnswer,
    TransactionState,
)
from tests.kill.record import Record, sale
from tests.wire import Address, Till, Wire, query_of, reversal_of

M = TypeVar("M", bound=Message)

OLD_ANSWERS: Final = 4
"""Sales of long ago asked about again at every new connection, beside the newest ones."""
NEWEST_ANSWERS: Final = 3
PAUSE_S: Final = 0.05
"""Before a terminal tries again after "try later", or after a host that has gone."""
TRY_LATER: Final = ("09", "96")
TWO_COPIES: Final = 0.02
"""Share of sales that are sent again at once, though they were answered."""


class Lost(Exception):
    """The connection is gone, or nothing came in time."""


class Wrong(Exception):
    """The host has answered what it must not."""


class Desk:
    """Where the host is, and the standard output that all terminals share."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._address: Address | None = None
        self._number = 0

    def listen(self) -> None:
        """Take new addresses until the input ends."""
        for text in sys.stdin:
            host, port = text.split()
            with self._changed:
                self._address, self._number = (host, int(port)), self._number + 1
                self._changed.notify_all()

    def address(self, seen: int) -> tuple[Address, int]:
        """Where to call: at once if that is news, after a pause if it is what failed before."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > seen, None if self._address is None else PAUSE_S)
            assert self._address is not None
            return self._address, self._number

    def say(self, *words: object) -> None:
        with self._changed:
            print(*words, flush=True)


class Seller:
    """One terminal."""

    def __init__(self, till: Till, record: Record, desk: Desk, seed: int, patience_s: float) -> None:
        self.till = till
        self.record = record
        self.desk = desk
        self.dice = random.Random(f"{seed} {till.number} {record.newest}")
        self.patience_s = patience_s

    def run(self) -> None:
        """Sell for ever, on ever new connections."""
        seen = 0
        while True:
            address, seen = self.desk.address(seen)
            try:
                with Wire(address, self.till) as wire:
                    wire.socket.settimeout(self.patience_s)
                    self._sign_on(wire)
                    self._settle(wire)
                    self._ask_again(wire)
                    while True:
                        self._sell(wire)
            except TimeoutError:
                self.desk.say("late", self.till.number)
            except (Lost, OSError):
                self.desk.say("lost", self.till.number)
            except (Wrong, ProtocolError, AssertionError) as error:
                self.desk.say("wrong", self.till.number, f"{type(error).__name__}: {error}".replace("\n", " "))

    def _ask(self, wire: Wire, message: Message, kind: type[M]) -> M:
        wire.say(message)
        answer = wire.hear()
        if answer is PEER_CLOSED:
            raise Lost
        if not isinstance(answer, kind):
            raise Wrong(f"{message}: expected {kind.__name__}, got {answer}")
        if getattr(answer, "response_code", "") in TRY_LATER:
            raise Lost
        return answer

    def _sign_on(self, wire: Wire) -> None:
        self._ask(wire, self.till.hello(), Challenge)
        self._ask(wire, Auth(), Ready)
        self.desk.say("ready", self.till.number)

    # --- sales

    def _sell(self, wire: Wire) -> None:
        stan = self.record.newest + 1
        self.record.note("sent", stan)
        self._send(wire, stan)
        if self.dice.random() < TWO_COPIES:
            self._compare(wire, stan)

    def _send(self, wire: Wire, stan: int) -> None:
        answer = self._ask(wire, sale(stan), SaleAnswer)
        if answer.response_code != "00":
            raise Wrong(f"sale {stan}: expected an approval, got {answer}")
        self.record.note("answered", stan, encode(answer))
        self.desk.say("approved", self.till.number, stan)

    # --- what became of those without an answer

    def _settle(self, wire: Wire) -> None:
        for stan in sorted(self.record.in_doubt):
            if stan in self.record.reversing:
                self._reverse(wire, stan)
                continue
            way = self.dice.choice(("again", "query", "query", "reverse"))
            seen = self._query(wire, stan) if way != "again" else None
            if way == "reverse":
                self._reverse(wire, stan, seen)
                continue
            self._send(wire, stan)
            if seen is not None and seen.state == TransactionState.APPROVED:
                again = self._ask(wire, sale(stan), SaleAnswer)
                if (again.rrn, again.posted_at_ms) != (seen.rrn, seen.posted_at_ms):
                    raise Wrong(f"sale {stan}: a query said {seen}, the sale {again}")

    def _query(self, wire: Wire, stan: int) -> QueryAnswer:
        seen = self._ask(wire, query_of(sale(stan)), QueryAnswer)
        if seen.state not in (TransactionState.APPROVED, TransactionState.NEVER_SEEN):
            raise Wrong(f"query {stan}: expected approved or never seen, got {seen}")
        return seen

    def _reverse(self, wire: Wire, stan: int, seen: QueryAnswer | None = None) -> None:
        if stan not in self.record.reversing:
            self.record.note("reversing", stan)
        answer = self._ask(wire, reversal_of(sale(stan)), ReversalAnswer)
        if answer.response_code != "00":
            raise Wrong(f"reversal {stan}: expected a confirmation, got {answer}")
        if seen is not None and bool(answer.reversed_fen) != (seen.state == TransactionState.APPROVED):
            raise Wrong(f"reversal {stan}: a query said {seen}, the reversal {answer}")
        self.record.note("reversed", stan, encode(answer))

    # --- the same question, the same answer

    def _ask_again(self, wire: Wire) -> None:
        known = sorted(self.record.answered)
        old = self.dice.sample(known, min(OLD_ANSWERS, len(known)))
        for stan in {*old, *known[-NEWEST_ANSWERS:]}:
            self._compare(wire, stan)
        for stan in sorted(self.record.reversed)[-NEWEST_ANSWERS:]:
            answer = encode(self._ask(wire, reversal_of(sale(stan)), ReversalAnswer))
            if answer != self.record.reversed[stan]:
                raise Wrong(f"reversal {stan}: was {self.record.reversed[stan].hex()}, now {answer.hex()}")
            self._late_copy(wire, stan)
            self.desk.say("same", self.till.number, stan)

    def _late_copy(self, wire: Wire, stan: int) -> None:
        """A sale that comes after its reversal: told what it was told before, or declined for ever."""
        confirmed = decode(ReversalAnswer.layout.mti, self.record.reversed[stan])
        assert isinstance(confirmed, ReversalAnswer)
        answer = self._ask(wire, sale(stan), SaleAnswer)
        if answer.response_code != ("00" if confirmed.reversed_fen else "68"):
            raise Wrong(f"sale {stan}: its reversal gave back {confirmed.reversed_fen} fen, and it is told {answer}")

    def _compare(self, wire: Wire, stan: int) -> None:
        answer = encode(self._ask(wire, sale(stan), SaleAnswer))
        if answer != self.record.answered[stan]:
            raise Wrong(f"sale {stan}: was {self.record.answered[stan].hex()}, now {answer.hex()}")
        self.desk.say("same", self.till.number, stan)


def main(folder: Path, seed: int, patience_s: float) -> None:
    desk = Desk()
    for one in json.loads((folder / "keys.json").read_text()):
        till = Till(TerminalNumber.parse(one["terminal"]), bytes.fromhex(one["root_key"]), one["key_version"])
        seller = Seller(till, Record(folder / f"{till.number}.jsonl"), desk, seed, patience_s)
        threading.Thread(target=seller.run, daemon=True).start()
    desk.listen()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
