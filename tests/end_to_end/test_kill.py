"""After a kill -9: nothing is in the way of the next start. Whether anything is lost, tests/kill looks at."""

from tests.end_to_end.process import CARD, Campus, serving


def test_a_killed_host_leaves_nothing_that_hinders_the_next(tmp_path):
    campus = Campus(tmp_path / "data", terminals=2)
    with serving(campus) as host, host.sign_on(campus.till()) as line:
        line.sell(line.till.sale(CARD))
        host.kill()
        assert line.is_over()
    assert campus.folder.control_path.exists()
    with serving(campus) as host, host.sign_on(line.till) as line:
        assert host.wait_log("serving")["newest_transfer"] == 3
        assert line.sell(line.till.sale(CARD)).response_code == "00"


def test_ready_after_a_restart_tells_the_newest_transaction(tmp_path):
    """A terminal that has lost its memory learns which numbers are used."""
    campus = Campus(tmp_path / "data", terminals=1)
    till = campus.till()
    with serving(campus) as host, host.line(till) as line:
        before = line.shake_hands()
        for _ in range(3):
            line.sell(till.sale(CARD))
        host.kill()
    with serving(campus) as host, host.line(till) as line:
        ready = line.shake_hands()
        assert (ready.last_batch, ready.last_stan) == (1, 3)
        assert ready.config_version == before.config_version  # nobody has changed anything
