"""Scenarios of whole data folders and of terminals."""

from __future__ import annotations

from typing import Final

from server.operations import keys
from terminal_emulator import file_storage
from terminal_emulator.record import RecordState
from tests.terminal_emulator.till import NUMBER, ToyHost
from tests.torture import data_folder, subjects
from tests.torture.data_folder import FolderLife
from tests.torture.table import scenario
from tests.torture.till import SettingsLife, TillLife

SMALL_JOURNAL_LINES: Final = 6
FEW_FINISHED: Final = 2
"""The terminal's compaction after lines and with finished sales that a short scenario comes to."""

# --- the data folder


@scenario(subjects.MAKER, subjects.nothing, opened=False)
def fanka_init(life: FolderLife) -> None:
    life.make()


@scenario(subjects.RESTORER, data_folder.nothing_but_a_backup, opened=False)
def restore_into_a_new_folder(life: FolderLife) -> None:
    life.restore()


@scenario(subjects.RESTORER, data_folder.lost_ledger, opened=False)
def restore_in_place_of_a_ledger(life: FolderLife) -> None:
    life.restore()


@scenario(subjects.BACKUP, data_folder.nothing_but_a_backup, opened=False)
def backup_of_a_folder(life: FolderLife) -> None:
    life.back_up()


@scenario(subjects.KEYS, data_folder.whole_folder, (keys, "PAGE_MAX", 1), opened=False)
def rewrap_of_all_keys(life: FolderLife) -> None:
    life.rewrap()


# --- the terminal

_till = scenario(subjects.TILL, subjects.till_at_work)
_small_journal = scenario(
    subjects.TILL,
    subjects.nothing,
    (file_storage, "COMPACT_AFTER", SMALL_JOURNAL_LINES),
    (file_storage, "KEEP_FINISHED", FEW_FINISHED),
)


@scenario(subjects.TILL, subjects.nothing)
def terminal_first_start(life: TillLife) -> None:
    life.storage.save_epoch(2)
    life.save(1)


@_till
def terminal_sells(life: TillLife) -> None:
    for stan in range(21, 25):
        life.save(stan)
        life.save(stan, RecordState.APPROVED)


@_till
def terminal_reverses(life: TillLife) -> None:
    life.save(21)
    life.save(21, RecordState.REVERSING)
    life.save(21, RecordState.REVERSED)
    life.storage.skip_to(1, 40)
    life.storage.skip_to(2, 1)


@_till
def terminal_restarts(life: TillLife) -> None:
    life.save(21)
    life.close()
    life.open()
    life.save(21, RecordState.APPROVED)


@scenario(subjects.TILL, subjects.nothing)
def terminal_with_its_brain(life: TillLife) -> None:
    host, brain = ToyHost(), life.boot()
    brain.online()
    for amount in ("1.5", "2"):
        brain.sell(amount)
        brain.answer(host.answer(NUMBER, brain.request))
    brain.sell("3")
    brain.offline()


@_till
def terminal_has_uploaded(life: TillLife) -> None:
    life.storage.save_history(2, 1_789_000_000)
    life.save(21)


@_small_journal
def terminal_compacts(life: TillLife) -> None:
    states = (RecordState.APPROVED, RecordState.DECLINED, RecordState.DECLINED, RecordState.DECLINED)
    for stan in range(1, 13):
        life.save(stan)
        life.save(stan, states[stan % 4])


@scenario(subjects.SETTINGS, subjects.key_file)
def terminal_key_file(life: SettingsLife) -> None:
    life.write(2)
    life.write(3)
