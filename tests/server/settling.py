"""A host and a terminal of it that settle: a real ledger, a real terminal's memory, every message through its bytes."""

from __future__ import annotations

import random

from msgspec.structs import replace

from protocol.messages import Message
from protocol.messages.money import TransactionKind
from protocol.messages.settlement import DifferenceKind
from server.handlers import CALLS, HANDLERS
from server.keys import KeyRing
from server.ledger import settlement as ledger_settlement
from server.ledger.comparison import Total
from server.ledger.ledger import Ledger
from server.ledger.model import Decision, Sale
from server.ledger.registry import Registry
from server.ledger.sqlite import SqliteStore
from server.ledger.store import Store
from server.operations.desk import Desk
from terminal_emulator.flows.settlement import accept, answered, begin, request_of
from terminal_emulator.flows.transaction import TransactionFlow
from terminal_emulator.record import Record, RecordState
from terminal_emulator.settled import Stage
from terminal_emulator.storage import MemoryStorage
from tests.server.callers import caller_of
from tests.server.ledger.campus import ANN, CARDS, NO_LIMITS, NOW_MS, TILL, decide, open_campus, reversal, sale
from tests.server.office import KEK

STEPS_MAX = 40


class World:
    """A host and a terminal of it. `said` counts the requests that were answered."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store or SqliteStore(":memory:")
        self.ledger = open_campus(self.store)
        self.now_ms = NOW_MS
        self.tick_ms = 0
        """How far the clock goes on each time somebody looks at it."""
        self.till = MemoryStorage()
        self.till.save_epoch(1)

    @property
    def desk(self) -> Desk:
        return Desk(
            self.ledger,
            Registry(self.store),
            KeyRing(KEK),
            None,
            self.clock_ms,
            random.Random(1).randbytes,
            print,
        )

    def clock_ms(self) -> int:
        self.now_ms += self.tick_ms
        return self.now_ms

    def restart_host(self) -> None:
        self.ledger = Ledger(self.store, NO_LIMITS)

    def sell(self, *amounts_fen: int) -> None:
        """Sales that both sides have."""
        for amount_fen in amounts_fen:
            batch, stan = self.till.used
            record = Record(batch=batch, stan=stan + 1, amount_fen=amount_fen, payer=CARDS[ANN], claimed_at_s=1)
            outcome = decide(self.ledger, self.command(record), self.now_ms)
            assert outcome.decision == Decision.APPROVED
            self.till.save(
                replace(record, state=RecordState.APPROVED, charged_fen=outcome.charged_fen, rrn=outcome.rrn)
            )

    def transact(self, kind: TransactionKind, amount_fen: int, original: Record | None = None) -> Record:
        """A transaction of any kind, as the terminal's flow and the host's handler make it; its record in its state."""
        batch, stan = self.till.used
        record = Record(kind=kind, batch=batch, stan=stan + 1, amount_fen=amount_fen, payer=CARDS[ANN], claimed_at_s=1)
        if original is not None:
            record = replace(record, original_batch=original.batch, original_stan=original.stan)
        self.till.save(record)
        flow = TransactionFlow(record, 0.0, lambda: 0.5)
        request = flow.next_request(0.0)
        assert request is not None
        handler = HANDLERS[type(request)]
        outcome = decide(self.ledger, handler.to_command(caller_of(TILL), request), self.now_ms)
        decided = flow.answered(handler.to_answer(request, outcome), 0.0)
        assert decided is not None
        self.till.save(decided)
        return decided

    @staticmethod
    def command(record: Record) -> Sale:
        return sale(record.stan, record.amount_fen, batch=record.batch)

    def undo(self, stan: int, *, here: bool = True, there: bool = True) -> None:
        record = self.till.records[(1, stan)]
        if there:
            decide(self.ledger, reversal(stan, record.amount_fen, batch=1), self.now_ms)
        if here:
            self.till.save(replace(record, state=RecordState.REVERSED))

    def ask(self, message: Message) -> Message:
        """What the host answers, both messages through their bytes."""
        message = type(message).layout.decode(message.layout.encode(message))
        answer = CALLS[type(message)].run(self.desk, TILL, message)
        assert answer.layout.answers(message.layout)
        return answer.layout.decode(answer.layout.encode(answer))

    def step(self) -> bool:
        """One request, its answer, and what comes of it is stored. False: there is nothing to say."""
        state = self.till.settlement
        request = None if state is None else request_of(state, self.till.acknowledged())
        if request is None:
            return False
        self.till.save_settlement(answered(state, self.ask(request), self.till.acknowledged()))
        return True

    def settle(self) -> Stage:
        """Press the key and wait, until a person has to decide or it is done."""
        if self.till.settlement is None:
            begin(self.till, 3, 9)
        return self.go_on()

    def go_on(self) -> Stage:
        for _ in range(STEPS_MAX):
            if not self.step():
                break
        return self.till.last_settlement.stage if self.till.settlement is None else self.till.settlement.stage

    def accept(self) -> Stage:
        self.till.save_settlement(accept(self.till.settlement))
        return self.go_on()

    def named(self) -> list[tuple[int, DifferenceKind]]:
        return [(row.stan, row.difference) for row in self.till.settlement.differences]

    def in_journal(self, batch: int = 1) -> list[Total]:
        return ledger_settlement.totals(ledger_settlement.host_items(self.store, TILL, batch))


def forged(stan: int, **changes: object) -> Record:
    fields = {"batch": 1, "stan": stan, "amount_fen": 800, "payer": CARDS[ANN], "claimed_at_s": 1, "rrn": 999}
    return Record(**(fields | {"state": RecordState.APPROVED} | changes))
