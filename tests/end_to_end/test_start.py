"""What `fanka serve` refuses to start on: exit code 2 and one line that says what to do."""

import socket

import pytest

from tests.end_to_end.process import CARD, Campus, serving, starting


@pytest.fixture
def campus(tmp_path):
    return Campus(tmp_path / "data", terminals=4)


def refusal(folder):
    """The one line a start that fails leaves behind."""
    with starting(folder) as host:
        assert host.wait() == 2
        assert host.log == []
        [line] = host.noise
        assert line.startswith("error: ")
        return line.removeprefix("error: ")


def edit(campus, old, new):
    text = campus.folder.config_path.read_text()
    assert text.count(old) == 1
    campus.folder.config_path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "idle_timeout_s = 90.0",
            "idle_timeout_ms = 90000",
            "limits.idle_timeout_ms: expected a known key, got `idle_timeout_ms`; did you mean `idle_timeout_s`?",
        ),
        ("[limits]", "[limit]", "limit: expected a known table, got `limit`; did you mean `limits`?"),
        (
            "idle_timeout_s = 90.0",
            'idle_timeout_s = "90s"',
            'limits.idle_timeout_s: expected a number 0.1..3600, got "90s"',
        ),
        ("batch_max = 256", "batch_max = 0", "ledger.batch_max: expected a whole number 1..4096, got 0"),
        ("[limits]", "[limits", "expected TOML: "),
    ],
    ids=["unknown key", "unknown table", "wrong unit", "out of range", "no TOML"],
)
def test_a_wrong_configuration(campus, old, new, said):
    edit(campus, old, new)
    assert refusal(campus.folder.path).startswith(f"{campus.folder.config_path}: {said}")


def test_a_second_host_on_the_same_folder_names_the_first_and_disturbs_nothing(campus):
    with serving(campus) as host, host.sign_on(campus.till()) as line:
        line.sell(line.till.sale(CARD))
        said = refusal(campus.folder.path)
        assert f"in use by fanka serve, process {host.process.pid}: two programs must not write one ledger" in said
        assert line.sell(line.till.sale(CARD)).response_code == "00"
        assert host.get("/readyz") == (200, "ready\n")
    with serving(campus) as host, host.sign_on(line.till) as line:
        assert line.sell(line.till.sale(CARD)).response_code == "00"


def test_a_taken_port(campus):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        campus.folder.config_path.write_text(
            campus.folder.config_path.read_text().replace("port = 0", f"port = {port}", 1)
        )
        said = refusal(campus.folder.path)
    assert said.startswith(f"cannot listen on 127.0.0.1:{port}: another program listens there; change the port in")


def test_a_folder_that_is_none(tmp_path):
    assert "expected a data folder with fanka.toml" in refusal(tmp_path)


def test_a_lost_ledger_is_not_replaced(campus):
    campus.folder.ledger_path.unlink()
    assert "ledger.db" in refusal(campus.folder.path)
    assert not campus.folder.ledger_path.exists()


def test_a_lost_key(campus):
    campus.folder.kek_path.unlink()
    assert "expected the key-encryption key, found no file" in refusal(campus.folder.path)


def test_a_key_others_can_read(campus):
    campus.folder.kek_path.chmod(0o644)
    assert "expected permissions 0600 (owner only), got 0644" in refusal(campus.folder.path)


def test_another_ledgers_key(campus, tmp_path):
    other = Campus(tmp_path / "other", terminals=1)
    campus.folder.kek_path.write_bytes(other.folder.kek_path.read_bytes())
    assert "put back the kek.key that belongs to this ledger" in refusal(campus.folder.path)


def test_what_is_no_ledger(campus):
    campus.folder.ledger_path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    assert "expected a Fanka ledger, got no SQLite database" in refusal(campus.folder.path)
