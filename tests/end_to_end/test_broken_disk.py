"""A disk whose fsync fails, under a real host: it stops at once, approves nothing, and recovers when started anew.

The failing call is libc's own, put in front of the real one by the dynamic linker.
"""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from protocol.messages import TransactionState
from tests.end_to_end.process import CARD, SERVE, Campus, HostProcess, serving

SHIM = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static int is_broken(void) { return access(getenv("BROKEN_DISK"), F_OK) == 0; }

static int call(const char *name, int descriptor) {
    int (*real)(int) = (int (*)(int)) dlsym(RTLD_NEXT, name);
    if (is_broken()) { errno = EIO; return -1; }
    return real(descriptor);
}

int fsync(int descriptor) { return call("fsync", descriptor); }
int fdatasync(int descriptor) { return call("fdatasync", descriptor); }
"""
STOPPED_BY_ITS_DISK = 70
CANNOT_START = 2


@pytest.fixture
def shim(tmp_path):
    """A library that breaks every sync while the file beside it exists."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler: a failing fsync cannot be put in front of the real one")
    (tmp_path / "shim.c").write_text(SHIM)
    library = tmp_path / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, tmp_path / "shim.c", "-ldl"], check=True)
    return library


@pytest.mark.slow
def test_a_failed_sync_is_the_end_of_the_process_and_never_an_approval(tmp_path, shim):
    campus = Campus(tmp_path / "data", terminals=2)
    broken = tmp_path / "broken"
    command = ["env", f"LD_PRELOAD={shim}", f"BROKEN_DISK={broken}", *SERVE]
    host = HostProcess(campus.folder.path, command=command)
    try:
        host.wait_serving()
        with host.sign_on(campus.till()) as line, host.sign_on(campus.till()) as other:
            good = line.till.sale(CARD)
            answer = line.sell(good)
            broken.touch()
            doubtful = other.till.sale(CARD)
            other.say(doubtful)
            assert other.is_over(), "nobody is told anything"
            assert host.wait() == STOPPED_BY_ITS_DISK
        fault = host.wait_log("ledger fault")
        assert "restart to recover" in fault["error"]
    finally:
        host.close()

    broken.unlink()
    with serving(campus) as again:
        with again.sign_on(line.till) as line_again, again.sign_on(other.till) as other_again:
            assert line_again.sell(good) == answer
            seen = other_again.query(doubtful)
            assert seen.state in (TransactionState.APPROVED, TransactionState.NEVER_SEEN)
            assert other_again.sell(doubtful).response_code == "00"
        assert again.terminate() == 0
    assert {len(rows) for rows in campus.posted().values()} == {1}
    campus.verify()


@pytest.mark.slow
def test_a_host_that_cannot_sync_does_not_start(tmp_path, shim):
    campus = Campus(tmp_path / "data", terminals=1)
    broken = tmp_path / "broken"
    broken.touch()
    host = HostProcess(campus.folder.path, command=["env", f"LD_PRELOAD={shim}", f"BROKEN_DISK={broken}", *SERVE])
    try:
        assert host.wait() == CANNOT_START
        assert host.log == []
        [said] = host.noise
        assert "ledger.db: cannot be used: IOError" in said
    finally:
        host.close()
    assert os.listdir(campus.folder.path).count("ledger.db") == 1
    campus.verify()
