"""A disk that is really full: a file system of a few hundred KiB, in a namespace of its own that dies with the host."""

import subprocess
from pathlib import Path

import pytest

from protocol.messages import TransactionState
from tests.end_to_end.process import CARD, SERVE, Campus, HostProcess

DISK_KIB = 768
MOUNT = f'mount -t tmpfs -o size={DISK_KIB}k fanka "$0"'
FILL_STEP = 4096
SALES_MAX = 400
"""More than fit what the ledger's log has left of its last page when everything else is full."""


def namespace():
    """The command that gives a process mounts of its own; skips where the system allows nobody that."""
    for command in (["unshare", "-m"], ["unshare", "-rm"]):
        try:
            tried = subprocess.run([*command, "sh", "-c", MOUNT, "/mnt"], check=False, capture_output=True)
        except FileNotFoundError:
            break
        if tried.returncode == 0:
            return command
    pytest.skip("this system lets us mount no file system of our own (unshare -m): a full disk cannot be made")


class SmallDisk:
    """A host on a small disk, and what only that disk's owner can do: fill it and free it."""

    def __init__(self, campus, place):
        place.mkdir()
        script = f'{MOUNT} && cp -a {campus.folder.path}/. "$0" && exec "$@"'
        self.host = HostProcess(place, command=[*namespace(), "sh", "-c", script, str(place), *SERVE])
        self.seen = Path(f"/proc/{self.host.process.pid}/root{place}")
        """The disk as seen from outside its namespace."""

    @property
    def _filler(self):
        return self.seen / "filler"

    def fill(self):
        """Until not one more block can be had."""
        with self._filler.open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(FILL_STEP))
            except OSError:
                return

    def free(self):
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path):
    campus = Campus(tmp_path / "template", terminals=3)
    disk = SmallDisk(campus, tmp_path / "disk")
    disk.campus = campus
    try:
        disk.host.wait_serving()
        yield disk
    finally:
        disk.host.close()


@pytest.mark.slow
def test_a_host_on_a_full_disk_says_so_and_starts_when_there_is_space(tmp_path):
    """What it writes at its start does not fit: nothing is lost, and a supervisor that tries again gets it going."""
    campus = Campus(tmp_path / "template", terminals=1)
    place = tmp_path / "disk"
    place.mkdir()
    until_full = (
        f'dd if=/dev/zero of="$0/filler" bs={FILL_STEP} 2> /dev/null; "$@"; echo "first: $?" >&2; rm "$0/filler"'
    )
    script = f'{MOUNT} && cp -a {campus.folder.path}/. "$0" && {{ {until_full}; }} && exec "$@"'
    host = HostProcess(place, command=[*namespace(), "sh", "-c", script, str(place), *SERVE])
    try:
        host.wait_serving()
        assert host.noise[-1] == "first: 2"
        assert "full" in host.noise[0] or "space" in host.noise[0], host.noise
        with host.sign_on(campus.till()) as line:
            assert line.sell(line.till.sale(CARD)).response_code == "00"
        assert host.terminate() == 0
    finally:
        host.close()


@pytest.mark.slow
def test_a_backup_that_does_not_fit_leaves_nothing(tmp_path):
    campus = Campus(tmp_path / "data", terminals=1)
    place = tmp_path / "disk"
    place.mkdir()
    small = 'mount -t tmpfs -o size=24k fanka "$0"'
    script = f'{small} && "$@" --to "$0/b"; echo "code: $?"; ls -A "$0"'
    command = [*SERVE[:-1], "backup", str(campus.folder.path)]
    done = subprocess.run(
        [*namespace(), "sh", "-c", script, str(place), *command], check=True, capture_output=True, text=True
    )
    assert done.stdout == "code: 2\n"
    assert "make room on the disk" in done.stderr


@pytest.mark.slow
def test_a_full_disk_is_answered_96_and_nothing_else_stops(disk):
    host, campus = disk.host, disk.campus
    with host.sign_on(campus.till()) as line, host.sign_on(campus.till()) as other:
        good = line.till.sale(CARD)
        answer = line.sell(good)
        assert host.get("/readyz") == (200, "ready\n")
        disk.fill()
        refused, code = good, "00"
        while code == "00":
            assert line.till.stan < SALES_MAX
            refused = line.till.sale(CARD)
            code = line.sell(refused).response_code
        assert code == "96"

        # Nothing of it is posted, the line stays up, and what needs no space is answered as ever.
        assert line.query(refused).state == TransactionState.NEVER_SEEN
        assert line.sell(good) == answer
        assert other.sell(other.till.sale(CARD)).response_code == "96"
        status, why = host.get("/readyz")
        assert (status, why.split(":")[0]) == (503, "the ledger could not commit")
        assert host.get("/healthz")[0] == 200
        assert host.count("ledger_faults_total", kind="StoreFull") >= 2
        fault = host.wait_log("ledger fault")
        assert "disk is full" in fault["error"]
        assert "free some space, the host goes on by itself" in fault["error"]

        # There is space again: the same request is decided like new, without a restart.
        disk.free()
        again = line.sell(refused)
        assert (again.response_code, again.rrn > answer.rrn) == ("00", True)
        assert host.get("/readyz") == (200, "ready\n")
    assert host.terminate() == 0
