"""Administration of a real host process: through its socket while it runs, the same data after it was killed."""

from __future__ import annotations

import getpass
import signal
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

SERVE = "from tools.main import main; main()"


@pytest.fixture
def host(folder):
    """A `fanka serve` of its own, ready to be asked."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", str(folder.path)], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if '"serving"' in line:
                break
        yield process
        process.kill()


def test_administered_while_it_runs_and_after_it_was_killed(fanka, folder, host, tmp_path):
    fanka("admin", "merchant", "add", "一食堂")
    (tmp_path / "cards.csv").write_text("student_number,name,card_uid,balance_yuan\nS1,张三,04A1,12.50\n")
    assert fanka("admin", "import", tmp_path / "cards.csv") == 0
    assert fanka("admin", "terminal", "enrol", "3-1..3-3", "--merchant", 1, "--out", tmp_path / "keys") == 0
    assert fanka("admin", "account", "topup", "S1", "1", "--request", "7-1") == 0
    assert fanka("verify") == 0
    assert "running: fanka serve" in (fanka("doctor"), fanka.out)[1]
    host.send_signal(signal.SIGKILL)
    host.wait()
    assert fanka("verify") == 0
    assert fanka("admin", "account", "topup", "S1", "1", "--request", "7-1") == 0
    assert "posted before and not again" in fanka.out
    assert fanka.json("admin", "account", "show", "S1")["balance_fen"] == 1350
    assert [row["state"] for row in fanka.json("admin", "terminal", "list")] == ["enrolled"] * 3
    assert fanka("verify") == 0


def test_configured_while_it_runs(fanka, folder, host, tmp_path):
    fanka("admin", "merchant", "add", "一食堂")
    assert fanka("admin", "meal", "set", 2, "午餐", "11:00", "13:30") == 0
    assert fanka("admin", "bonus", "set", 100, 10) == 0
    (tmp_path / "menu.csv").write_text("code,name,price_yuan\n001,米饭,1.00\n")
    assert fanka("admin", "product", "import", 1, tmp_path / "menu.csv") == 0
    assert "expected an end other than its start" in fanka.error("admin", "meal", "set", 1, "x", "1:00", "1:00")
    assert fanka("admin", "unresolved", "list") == 0
    assert {row["who"] for row in fanka.json("admin", "history")} == {getpass.getuser()}
    host.send_signal(signal.SIGKILL)
    host.wait()
    assert [row["what"] for row in fanka.json("admin", "history")] == [
        "product 001 of merchant 1",
        "bonus of all merchants from 100.00",
        "meal 2",
        "merchant 1",
    ]


def test_a_second_host_is_refused_and_the_socket_goes_with_the_host(fanka, folder, host):
    assert "in use by fanka serve" in fanka.error("serve", folder.path)
    assert fanka("admin", "merchant", "list") == 0
    host.terminate()
    assert host.wait() == 0
    assert not folder.control_path.exists()
    assert fanka("admin", "merchant", "list") == 0
