"""The memory of a terminal, cut off at every byte and killed at any moment."""

import signal
import subprocess
import sys
import textwrap
import zlib
from collections import Counter

import msgspec
import pytest

from protocol import TerminalNumber
from protocol.messages.money import TransactionKind
from terminal_emulator import file_storage
from terminal_emulator.file_storage import FileStorage
from terminal_emulator.keepsakes import OpeningFloat
from terminal_emulator.record import Record, RecordState, Saf
from terminal_emulator.settled import Settlement, Stage
from terminal_emulator.storage import MemoryStorage, StorageError
from tests.terminal_emulator.till import CARD, NUMBER, Till, ToyHost


def record(stan, state=RecordState.PENDING, batch=1):
    return Record(batch=batch, stan=stan, amount_fen=1250, payer=CARD, claimed_at_s=1, state=state)


def contents(storage):
    return dict(storage.records), storage.used, storage.epoch, storage.newest_approved, storage.history


@pytest.fixture
def opened(tmp_path):
    """Opens the folder of this test again and again, closing what was open before."""
    storages: list[FileStorage] = []

    def open_again():
        if storages:
            storages[-1].close()
        storages.append(FileStorage(tmp_path / "till"))
        return storages[-1]

    yield open_again
    if storages:
        storages[-1].close()


@pytest.mark.parametrize("make", [MemoryStorage, None], ids=["memory", "file"])
def test_what_is_saved_is_there(make, opened):
    storage = make() if make else opened()
    assert (storage.used, storage.epoch, storage.open_records(), storage.is_full) == ((1, 0), 0, [], False)
    assert storage.newest_approved == (0, 0)
    assert (storage.history, storage.acknowledged()) == ((1, 0), [])
    storage.save(record(2))
    storage.save(record(1, RecordState.REVERSING))
    storage.save(record(3, RecordState.APPROVED))
    storage.save(record(4, RecordState.DECLINED))
    assert storage.used == (1, 4)
    assert [r.stan for r in storage.open_records()] == [1, 2]
    assert [r.stan for r in storage.acknowledged()] == [3]
    storage.skip_to(1, 2)
    assert storage.used == (1, 4)
    storage.skip_to(2, 9)
    storage.save_epoch(5)
    assert (storage.used, storage.epoch) == ((2, 9), 5)
    assert storage.newest_approved == (1, 3)
    storage.save(record(2, RecordState.APPROVED))  # found out later
    assert storage.newest_approved == (1, 3)
    storage.save(record(1, RecordState.REVERSED))
    assert [r.stan for r in storage.acknowledged()] == [1, 2, 3]
    storage.save_history(3, 1_790_000_000)
    assert storage.history == (3, 1_790_000_000)
    if not make:
        before = contents(storage)
        assert contents(opened()) == before


def test_every_field_of_a_record_comes_back(opened):
    full = Record(
        batch=999_999,
        stan=999_999,
        amount_fen=999_999_999,
        payer=bytes(range(24)),
        claimed_at_s=2**32 - 1,
        operator=65_535,
        entry_mode=2,
        state=RecordState.APPROVED,
        response_code="00",
        kind=TransactionKind.REFUND,
        original_terminal=2**32 - 1,
        original_batch=999_998,
        original_stan=1,
        charged_fen=1,
        points=2**32 - 1,
        rrn=2**64 - 1,
        balance_fen=-(2**63),
        posted_at_ms=2**64 - 1,
    )
    opened().save(full)
    assert opened().records[full.identity] == full


def test_two_programs_cannot_use_one_folder(tmp_path):
    first = FileStorage(tmp_path)
    with pytest.raises(StorageError, match="in use by another program"):
        FileStorage(tmp_path)
    first.close()
    FileStorage(tmp_path).close()


def test_the_journal_cut_at_every_byte_never_loses_what_was_sent_nor_doubles_a_number(tmp_path):
    """At each length the file may have after a crash: everything whose `save` had returned is there."""
    folder = tmp_path / "till"
    storage = FileStorage(folder)
    journal = folder / "journal"
    history = [(0, contents(storage))]
    steps = [
        lambda: storage.save(record(1)),
        lambda: storage.save(record(1, RecordState.APPROVED)),
        lambda: storage.save_epoch(3),
        lambda: storage.save(record(2)),
        lambda: storage.save(record(2, RecordState.REVERSING)),
        lambda: storage.skip_to(4, 40),
        lambda: storage.save_history(2, 7),
        lambda: storage.save(record(41, batch=4)),
    ]
    for step in steps:
        step()
        history.append((journal.stat().st_size, contents(storage)))
    storage.close()
    whole = journal.read_bytes()
    for size in range(len(whole) + 1):
        journal.write_bytes(whole[:size])
        synced, expected = max(entry for entry in history if entry[0] <= size)
        again = FileStorage(folder)
        assert contents(again) == expected
        assert again.torn == size - synced
        batch, stan = again.used
        again.save(record(stan + 1, batch=batch))  # and what is written behind a torn entry is whole
        after = contents(again)
        again.close()
        third = FileStorage(folder)
        assert (contents(third), third.torn) == (after, 0)
        third.close()


@pytest.mark.parametrize("tail", [b"\0" * 40, b"\0" * 40 + b"\n", b"12345678 {}\n", b"garbage"])
def test_a_torn_entry_may_hold_anything(opened, tmp_path, tail):
    opened().save(record(1))
    with (tmp_path / "till" / "journal").open("ab") as journal:
        journal.write(tail)
    storage = opened()
    assert storage.torn == len(tail)
    assert storage.used == (1, 1)


def test_damage_in_the_middle_is_no_torn_write_and_is_refused(opened, tmp_path):
    storage = opened()
    for stan in (1, 2, 3):
        storage.save(record(stan))
    journal = tmp_path / "till" / "journal"
    data = bytearray(journal.read_bytes())
    data[30] ^= 1
    journal.write_bytes(data)
    storage.close()
    with pytest.raises(StorageError, match="line 1 at byte 0 is damaged"):
        FileStorage(tmp_path / "till")
    assert journal.read_bytes() == data  # evidence is kept


@pytest.mark.parametrize(
    "text", [b'{"type":"used\xff"}', b'{"type":"used","x":' + b"[" * 100_000], ids=["no text", "deep"]
)
def test_a_line_with_a_good_checksum_that_says_nothing_is_refused_too(opened, tmp_path, text):
    """Found by fuzzing (target journal): it ended the terminal with a traceback instead of a word about the disk."""
    opened().save(record(1))
    line = b"%08x %s\n" % (zlib.crc32(text), text)
    journal = tmp_path / "till" / "journal"
    journal.write_bytes(line + journal.read_bytes())
    with pytest.raises(StorageError, match="line 1 at byte 0 is whole, but"):
        opened()


def test_a_whole_last_line_of_a_newer_version_is_not_taken_for_a_torn_one(opened, tmp_path):
    storage = opened()
    for stan in (1, 2):
        storage.save(record(stan))
    storage.close()
    journal = tmp_path / "till" / "journal"
    first, last = journal.read_bytes().splitlines(keepends=True)
    text = last[9:-1].replace(b'"kind":1,', b'"kind":99,')
    assert text != last[9:-1]
    journal.write_bytes(first + b"%08x %s\n" % (zlib.crc32(text), text))
    before = journal.read_bytes()
    with pytest.raises(StorageError, match="newer one wrote it"):
        FileStorage(tmp_path / "till")
    assert journal.read_bytes() == before, "the newest record is still there"


def test_the_journal_stays_bounded_and_compaction_loses_nothing_that_matters(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(file_storage, "COMPACT_AFTER", 20)
    monkeypatch.setattr(file_storage, "KEEP_FINISHED", 3)
    storage = opened()
    storage.save_epoch(9)
    storage.save_history(2, 5)
    states = [RecordState.APPROVED, RecordState.DECLINED, RecordState.REVERSED, RecordState.DECLINED]
    for stan in range(1, 201):
        storage.save(record(stan))
        storage.save(record(stan, states[stan % 4]))
        lines = (tmp_path / "till" / "journal").read_bytes().count(b"\n")
        assert lines <= 2 * (stan // 2 + 1) + 21
    storage.save(record(201))
    before = contents(storage)
    again = opened()
    assert contents(again) == before
    assert (again.used, again.epoch) == ((1, 201), 9)
    assert again.history == (2, 5)
    kept = Counter(r.state for r in again.records.values())
    # A reversal that a restored host has lost would charge the payer again: it is money as much as a sale is.
    assert (kept[RecordState.APPROVED], kept[RecordState.REVERSED]) == (50, 50)
    # Kept, declined, and declined since the last compaction: two lines each, and every second sale.
    assert len(again.records) <= 101 + 3 + (2 * 101 + 20) // 4
    assert [r.stan for r in again.open_records()] == [201]


def test_a_full_memory_says_so(opened, monkeypatch):
    monkeypatch.setattr(file_storage, "MAX_RECORDS", 2)
    storage = opened()
    storage.save(record(1, RecordState.APPROVED))
    assert not storage.is_full
    storage.save(record(2, RecordState.DECLINED))
    assert not storage.is_full
    storage.save(record(3, RecordState.REVERSED))
    assert storage.is_full


def test_after_a_failed_write_nothing_more_is_written(opened, monkeypatch):
    storage = opened()
    storage.save(record(1))

    def no_space(descriptor, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", no_space)
        with pytest.raises(OSError, match="No space"):
            storage.save(record(2))
    with pytest.raises(OSError, match="start the terminal again"):
        storage.save(record(2))
    assert storage.used == (1, 1)
    assert opened().used == (1, 1)


def test_only_the_owner_can_read_it(opened, tmp_path):
    opened().save(record(1))
    assert (tmp_path / "till" / "journal").stat().st_mode & 0o777 == 0o600


VICTIM = """
    import sys
    from pathlib import Path
    from tests.terminal_emulator.till import NUMBER, Till, ToyHost
    from terminal_emulator.effects import Send
    from terminal_emulator.file_storage import FileStorage

    host = ToyHost()
    till = Till(FileStorage(Path(sys.argv[1])))
    till.online()
    while True:
        till.sell("1")
        print("sent", till.request.batch, till.request.stan, flush=True)
        till.answer(host.answer(NUMBER, till.request))
        print("done", till.request.batch, till.request.stan, flush=True)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_remembers_what_it_sent(tmp_path):
    """A real process, a real SIGKILL, again and again on the same folder."""
    folder = tmp_path / "till"
    sent, done = set(), set()
    for round_ in range(6):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(VICTIM), str(folder)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(5 + 13 * round_):
                word, batch, stan = process.stdout.readline().split()
                identity = int(batch), int(stan)
                if word == "sent":
                    assert identity not in sent, "a number was used twice"
                    sent.add(identity)
                else:
                    done.add(identity)
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().splitlines()
        for line in rest:
            word, *numbers = line.split()
            if len(numbers) == 2 and line.endswith(numbers[1]):
                (sent if word == "sent" else done).add(tuple(map(int, numbers)))
        storage = FileStorage(folder)
        assert sent <= storage.records.keys()
        assert all(storage.records[identity].state is RecordState.APPROVED for identity in done)
        # Its brain wakes up, asks about what is open, and goes on behind it.
        host = ToyHost()
        till = Till(storage)
        till.online()
        while till.brain.unresolved:
            till.answer(host.answer(NUMBER, till.request))
        storage.close()
    assert len(sent) > 50


def test_a_journal_line_reads_like_what_it_is(opened, tmp_path):
    opened().save(record(1))
    line = (tmp_path / "till" / "journal").read_text()
    assert msgspec.json.decode(line.partition(" ")[2])["type"] == "sale"


def test_a_journal_from_when_there_were_only_sales_is_read(tmp_path):
    folder = tmp_path / "till"
    folder.mkdir()
    text = (
        b'{"type":"sale","batch":1,"stan":2,"amount_fen":100,"payer":"BKGyww==","claimed_at_s":5,"operator":0,'
        b'"entry_mode":1,"state":"approved","response_code":"00","rrn":9,"balance_fen":1,"posted_at_ms":3}'
    )
    (folder / "journal").write_bytes(b"%08x %s\n" % (zlib.crc32(text), text))
    storage = FileStorage(folder)
    (found,) = storage.acknowledged()
    assert (found.kind, found.identity, found.charged_fen, found.moved_fen) == (TransactionKind.SALE, (1, 2), None, 100)
    assert found.discount_fen == 0
    storage.close()


def offline_record(stan, sequence, state=RecordState.OFFLINE):
    saf = Saf(sequence, bytes([sequence - 1] * 16), bytes([sequence] * 16), 4)
    return msgspec.structs.replace(record(stan, state), kind=TransactionKind.OFFLINE_SALE, saf=saf)


@pytest.mark.parametrize("make", [MemoryStorage, None], ids=["memory", "file"])
def test_where_the_chain_stands_outlives_verdicts_and_power_cuts(make, opened):
    storage = make() if make else opened()
    assert (storage.chain, storage.offline_records(), storage.waiting) == ((0, bytes(16)), [], {})
    for stan in (4, 7, 9):
        storage.save(offline_record(stan, stan - 3))
    storage.save(offline_record(4, 1, RecordState.APPROVED))
    storage.save(record(5, RecordState.APPROVED))
    assert storage.chain == (6, bytes([6] * 16)), "the verdict of an older one does not take it back"
    assert [r.stan for r in storage.offline_records()] == [4, 7, 9]
    storage.save(offline_record(9, 2))  # numbered anew
    assert storage.chain == (2, bytes([2] * 16))
    assert storage.open_records() == [], "nobody asks about them, and nobody reverses them"
    assert [*storage.waiting] == [(1, 7), (1, 9)]
    if not make:
        storage._compact()
        before = storage.offline_records()
        storage = opened()
        assert (storage.chain, [*storage.waiting]) == ((2, bytes([2] * 16)), [(1, 7), (1, 9)])
        assert storage.offline_records() == before
        storage.records.clear()  # as a settlement does
        storage._compact()
        assert opened().chain == (2, bytes([2] * 16))


# --------------------------------------------------------------------------------------------- settlements

SETTLING = Settlement(batch=1, operator=3, claimed_at_s=9)
DONE = msgspec.structs.replace(SETTLING, stage=Stage.DONE, settlement=4, is_balanced=True, closed_at_ms=5)


@pytest.mark.parametrize("make", [MemoryStorage, None], ids=["memory", "file"])
def test_a_settlement_begins_with_a_new_batch_number_and_ends_without_the_records(make, opened):
    storage = make() if make else opened()
    assert storage.settlement is None
    storage.save(record(1, RecordState.APPROVED))
    storage.save(record(2, RecordState.DECLINED))
    storage.save_settlement(SETTLING)
    assert (storage.used, len(storage.records)) == ((2, 0), 2)
    storage.save(record(1, RecordState.APPROVED, batch=2))  # sold while the other is being settled
    for _ in range(2):
        storage.save_settlement(DONE)
        assert [*storage.records] == [(2, 1)]
        assert (storage.used, storage.newest_approved) == ((2, 1), (2, 1))
        assert (storage.settlement, storage.last_settlement) == (None, DONE)


def test_a_settlement_clears_the_opening_float_of_its_batch_and_of_no_other(opened, monkeypatch):
    monkeypatch.setattr(file_storage, "COMPACT_AFTER", 0)
    in_use, next_one = OpeningFloat(20_000, batch=1), OpeningFloat(5_000, batch=2)
    for keep, settlement, left in (
        (in_use, None, in_use),
        (None, SETTLING, in_use),
        (None, DONE, OpeningFloat()),
        (next_one, DONE, next_one),
        (None, msgspec.structs.replace(DONE, batch=2), OpeningFloat()),
    ):
        storage = opened()
        if keep is not None:
            storage.keep(keep)
        if settlement is not None:
            storage.save_settlement(settlement)
        assert storage.kept(OpeningFloat) == left
        assert opened().kept(OpeningFloat) == left  # after a power cut


@pytest.mark.parametrize("make", [MemoryStorage, None], ids=["memory", "file"])
def test_the_newest_batches_settled_are_kept_for_a_host_that_is_restored(make, opened, monkeypatch):
    monkeypatch.setattr(file_storage, "COMPACT_AFTER", 0)
    storage = make() if make else opened()
    for batch in range(1, 5):
        storage.save(record(1, RecordState.APPROVED, batch=batch))
        storage.save(record(2, RecordState.REVERSED, batch=batch))
        storage.save(record(3, RecordState.DECLINED, batch=batch))
        storage.save_settlement(msgspec.structs.replace(DONE, batch=batch))
        storage.save_epoch(batch)
    assert storage.records == {}
    for _ in range(2):
        assert [r.identity for r in storage.acknowledged()] == [(3, 1), (3, 2), (4, 1), (4, 2)]
        assert not storage.is_full
        storage = storage if make else opened()


@pytest.mark.parametrize("compacted", [False, True])
def test_a_settlement_is_there_after_a_power_cut(opened, compacted, monkeypatch):
    if compacted:
        monkeypatch.setattr(file_storage, "COMPACT_AFTER", 0)
    storage = opened()
    for stan in range(1, 5):
        storage.save(record(stan, RecordState.DECLINED if stan == 2 else RecordState.APPROVED))
    for state in (SETTLING, DONE, msgspec.structs.replace(SETTLING, batch=2, stage=Stage.UPLOAD, part=7)):
        storage.save_settlement(state)
        before = (contents(storage), storage.settlement, storage.last_settlement, storage.archived)
        storage = opened()
        assert (contents(storage), storage.settlement, storage.last_settlement, storage.archived) == before
        assert state in before


def test_cut_off_at_any_byte_a_batch_is_either_there_or_settled(opened, tmp_path):
    storage = opened()
    storage.save(record(1, RecordState.APPROVED))
    storage.save_settlement(SETTLING)
    begun = (tmp_path / "till" / "journal").stat().st_size
    storage.save_settlement(DONE)
    whole = (tmp_path / "till" / "journal").read_bytes()
    seen = set()
    for end in range(begun, len(whole) + 1):
        storage.close()
        (tmp_path / "till" / "journal").write_bytes(whole[:end])
        storage = FileStorage(tmp_path / "till")
        assert storage.used == (2, 0)
        seen.add((len(storage.records), storage.settlement))
    storage.close()
    assert seen == {(1, SETTLING), (0, None)}


def test_a_memory_that_was_told_to_forget_is_as_new_also_when_it_is_read_again(opened):
    storage = opened()
    storage.save(record(1))
    storage.save(record(1, RecordState.DECLINED))
    storage.save(record(2, RecordState.APPROVED))
    storage.save_settlement(Settlement(batch=1, operator=7, claimed_at_s=1, stage=Stage.DONE))
    storage.save_epoch(9)
    storage.forget()
    again = opened()
    for memory in (storage, again):
        assert contents(memory) == contents(MemoryStorage())
        assert (memory.archived, memory.newest_approved, memory.last_settlement) == ({}, (0, 0), None)
    again.save(record(1))
    assert list(opened().records) == [(1, 1)]


def told(storage):
    return [(sale.stan, sale.state, sale.moved_fen) for sale in storage.recent_sales]


@pytest.mark.parametrize("is_settled", [False, True])
@pytest.mark.parametrize("verdict", [RecordState.OFFLINE, RecordState.APPROVED, RecordState.REFUSED])
def test_the_last_sales_are_the_same_when_the_journal_was_written_anew(opened, verdict, is_settled):
    """The repeat guard goes by the last one, and cashiers look at them with Clear 3, 2, 1."""
    storage = opened()
    for stan in (1, 2, 3):
        storage.save(record(stan, RecordState.APPROVED))
    sold = offline_record(4, 1)
    storage.save(sold)
    charged = msgspec.structs.replace(sold, state=verdict, charged_fen=80) if verdict != sold.state else sold
    storage.save(charged)
    if is_settled:
        storage.save_settlement(SETTLING)
        storage.save_settlement(DONE)
    before = told(storage)
    assert before[0] == (4, verdict, {"approved": 80, "offline": 1250}.get(verdict, 0))
    assert [stan for stan, _, _ in before] == [4, 3, 2]
    assert told(opened()) == before
    opened()._compact()
    storage = opened()
    assert told(storage) == before
    storage.save(record(1, RecordState.APPROVED, batch=2))
    assert [stan for stan, _, _ in told(opened())] == [1, 4, 3]


# ------------------------------------------------------------------------------------------- whose memory it is

OTHER = TerminalNumber(3, 59)


@pytest.mark.parametrize("compacted", [False, True])
def test_a_memory_says_whose_it_is_also_after_a_power_cut(opened, compacted, monkeypatch):
    if compacted:
        monkeypatch.setattr(file_storage, "COMPACT_AFTER", 0)
    storage = opened()
    assert storage.owner is None
    storage.claim(NUMBER)
    storage.claim(NUMBER)
    storage.save(record(1, RecordState.APPROVED))
    for _ in range(2):
        assert (opened().owner, len(opened().records)) == (NUMBER, 1)


@pytest.mark.parametrize("state", [state for state in RecordState if state is not RecordState.DECLINED])
def test_another_terminal_cannot_claim_what_is_not_settled(opened, tmp_path, state):
    storage = opened()
    storage.claim(NUMBER)
    storage.save(record(1, state))
    with pytest.raises(
        StorageError, match=r"got that of terminal 3-58 .* key file of 3-58 and settle .*, or give 3-59"
    ):
        storage.claim(OTHER)
    again = opened()
    assert (again.owner, again.records[1, 1].state) == (NUMBER, state)


def test_another_terminal_claims_what_is_settled_and_begins_anew(opened):
    storage = opened()
    storage.claim(NUMBER)
    storage.save(record(1, RecordState.APPROVED))
    storage.save_settlement(SETTLING)
    with pytest.raises(StorageError):
        storage.claim(OTHER)
    storage.save_settlement(DONE)
    storage.claim(OTHER)
    for memory in (storage, opened()):
        assert memory.owner == OTHER
        assert contents(memory) == contents(MemoryStorage())
        assert memory.archived == {}, "a restored host would book them for the other terminal"


def test_a_memory_from_before_they_had_owners_belongs_to_whoever_starts_with_it(opened):
    storage = opened()
    storage.save(record(1))
    storage.claim(NUMBER)
    assert len(storage.records) == 1
    with pytest.raises(StorageError):
        opened().claim(OTHER)
