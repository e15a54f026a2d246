"""Fixed-amount mode, the terminal's number, parameters on demand."""

import pytest

from protocol import TerminalNumber
from protocol.messages import UploadRequest
from protocol.messages.parameters import Profile
from terminal_emulator.effects import ChangeNumber, Send
from terminal_emulator.parameters import Parameters
from terminal_emulator.settled import Settlement, Stage
from tests.terminal_emulator.till import Till, ToyHost, settings_of


@pytest.fixture
def host():
    return ToyHost()


@pytest.fixture
def till():
    till = Till()
    till.online()
    return till


def test_fixed_amount_mode_sells_with_a_tap_and_survives_a_power_cut(till, host):
    till.keys("clear enter 4 . 5 enter")
    view = till.brain.view
    assert (view.screen, view.fixed_fen) == ("idle", 450)
    assert till.do("tap", host)[-1] == "outcome approved 1"
    assert till.do("tap", host)[-1] == "outcome approved 2"  # the next customer, without a key
    till.power_on()
    till.online()
    assert till.keys("7") == ["beep error"]
    assert till.do("tap", host)[-1] == "outcome approved 3"
    assert {record.amount_fen for record in till.storage.records.values()} == {450}
    till.keys("clear clear delete enter")
    assert till.brain.view.fixed_fen == 0
    assert till.tap() == ["beep error"]
    till.keys("7")
    assert till.screen == "amount"


def test_fixed_amount_mode_ends_where_no_key_could_end_it():
    till = Till(settings=settings_of(sign_on_required=False))
    till.online()
    till.keys("clear enter 4 enter")
    till.brain.till.keep(Parameters(profile=Profile.MEMBER))  # the host makes it a member shop
    assert till.brain.view.fixed_fen == 0
    till.power_on()
    assert till.brain.view.fixed_fen == 0
    till.online()
    assert "Sale 1" not in till.tap()
    assert till.storage.records == {}


def test_clear_instead_of_an_amount_leaves_it_off(till):
    till.keys("clear enter 4 clear")
    assert till.brain.view.fixed_fen == 0


def test_a_fixed_sale_without_a_line_says_so(till):
    till.keys("clear enter 4 enter")
    till.offline()
    assert till.tap() == ["beep error"]
    assert till.screen == "no_link"


def test_f2_1_7_sets_the_terminal_number(till, host):
    assert till.keys("f2 1 7") == ["beep key"] * 3
    assert till.panel[0] == "Superv. password"
    till.do("123456 enter 12 enter 9 enter", host)
    assert till.panel == ["Terminal no.", "3-58", "-> 12-9", "Enter / Clear"]
    till.keys("enter")
    assert [effect for effect in till.effects if isinstance(effect, ChangeNumber)] == [
        ChangeNumber(TerminalNumber(12, 9))
    ]
    assert till.brain.view.terminal == TerminalNumber(12, 9)


@pytest.mark.parametrize("keys", ["f2 2", "f2 1 8", "f2 f2"])
def test_other_keys_after_f2_are_refused(till, keys):
    assert till.keys(keys)[-1] == "beep error"
    assert till.screen == "idle"


def test_a_terminal_with_records_keeps_its_number(till, host):
    till.do("5 enter tap clear", host)
    till.do("f2 1 7 123456 enter", host)
    assert till.panel == ["Terminal no.", "Records are kept", "Please settle"]


@pytest.mark.parametrize("keys", ["70000 enter 1 enter", "1 enter 65536 enter", "0 enter 0 enter"])
def test_a_number_that_is_none(till, host, keys):
    till.do(f"f2 1 7 123456 enter {keys}", host)
    assert till.panel[1] == "No such number"


def test_parameters_on_demand(till, host):
    host.config_version, host.parameters = 5, {"profile": Profile.MEMBER, "repeat_guard": 1}
    till.do("f1 0 5 3", host)
    assert till.panel == ["Parameters", "0.5", "Enter: go on"]
    parameters = till.brain.till.parameters
    assert (parameters.config_version, parameters.profile, parameters.repeat_guard) == (5, Profile.MEMBER, True)


NEW_NUMBER = "f2 1 7 123456 enter 3 enter 59 enter enter enter"
"""3-58 becomes 3-59."""
LIMITS = Parameters(
    offline_sale_limit_fen=10_000,
    offline_card_limit_fen=50_000,
    offline_total_limit_fen=100_000,
    offline_count_limit=50,
)


def settled_till(host):
    till = Till()
    till.online()
    till.do("12.5 enter tap enter", host)
    till.storage.save_settlement(Settlement(batch=1, operator=7, claimed_at_s=1, stage=Stage.DONE))
    return till


def test_what_the_old_number_has_settled_does_not_go_up_under_the_new_one(host):
    """A host restored from a backup knows no sales of the new number: it would book them once more."""
    till = settled_till(host)
    till.do(NEW_NUMBER, host)
    till.offline()
    till.online(last=(0, 0), history=2, restored_at_s=99)
    till.wait(10)
    assert not [
        effect for effect in till.effects if isinstance(effect, Send) and isinstance(effect.message, UploadRequest)
    ]


def test_a_new_number_accuses_no_host_of_having_lost_sales(host):
    till = settled_till(host)
    till.do(NEW_NUMBER, host)
    till.offline()
    till.online(last=(0, 0))
    assert not till.brain.view.host_rolled_back


def test_a_new_number_sells_nothing_offline_before_the_host_has_seen_it(till, host):
    till.storage.keep(LIMITS)
    till.brain.till.refresh()
    assert till.brain.till.offline_limits.allow_any
    till.do(NEW_NUMBER, host)
    till.offline()
    till.sell()
    assert till.screen == "no_link"
    assert not till.storage.waiting


def test_the_memory_is_that_of_the_new_number(till, host):
    assert till.storage.owner == till.settings.terminal
    till.do(NEW_NUMBER, host)
    assert till.storage.owner == TerminalNumber(3, 59)
    till.power_on()  # the key file could not be written: it is the old one again, and nothing of the other is left
    assert till.storage.owner == TerminalNumber(3, 58)


def test_a_number_keyed_wrongly_can_be_keyed_again_while_the_host_refuses_it(till, host):
    till.do("f2 1 7 123456 enter 3 enter 95 enter enter enter", host)
    till.offline("refused")
    till.settings = settings_of(TerminalNumber(3, 95))
    till.power_on()
    till.offline("refused")
    till.keys("f2 1 7")
    assert till.panel[:2] == ["Terminal no.", "Group"]
    till.keys("3 enter 59 enter enter enter")
    assert till.brain.view.terminal == TerminalNumber(3, 59)
    till.online(last=(0, 0))
    till.offline()
    till.keys("f2 1 7")
    assert till.panel[0] == "Line lost", "it was a right one: from now on it takes the host and the supervisor"


def test_a_settlement_under_way_keeps_the_number(host):
    till = settled_till(host)
    till.storage.save_settlement(Settlement(batch=2, operator=7, claimed_at_s=1))
    till.do("f2 1 7 123456 enter", host)
    assert till.panel[:2] == ["Terminal no.", "Records are kept"]
