"""`fanka` as a process's entry point: what Ctrl-C leaves behind, and `init` before anything is made."""

from __future__ import annotations

import contextlib
import errno

import pytest

from tools import main as command


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (KeyboardInterrupt(), "interrupted\n"),
        (
            BaseExceptionGroup("", [OSError(), BaseExceptionGroup("", [KeyboardInterrupt("see D")])]),
            "interrupted: see D\n",
        ),
    ],
)
def test_ctrl_c_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, said: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(command, "app", interrupted)
    with pytest.raises(SystemExit) as left:
        command.main()
    assert left.value.code == 130
    assert capsys.readouterr().err == said


def test_cyclopts_leaves_ctrl_c_to_us(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.doctor.look_at_programs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        command.app(["doctor"], exit_on_error=False)


def test_other_faults_are_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ExceptionGroup("", [ZeroDivisionError()])

    monkeypatch.setattr(command, "app", broken)
    with pytest.RaisesGroup(ZeroDivisionError):
        command.main()


@pytest.mark.parametrize("write", [print, lambda text: print(text, flush=True)])
def test_an_output_that_cannot_be_written(
    write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "app", lambda **_: write("all checks hold"))
    with open("/dev/full", "w", encoding="utf-8") as full, monkeypatch.context() as patch:
        patch.setattr("sys.stdout", full)
        with pytest.raises(SystemExit) as left:
            command.main()
        with contextlib.suppress(OSError):
            full.close()
    assert left.value.code == 2
    said = 'error: standard output: cannot be written, got "No space left on device"\n'
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", 99999], "listen.port: expected a whole number 0..65535, got 99999"),
        (["--host", "10.0.0.256"], "listen.host: expected an address like 127.0.0.1 or a host name, got"),
        (["--host", "no host"], "listen.host: expected an address"),
        (["--http-port", 4105], "listen.port and http.port: expected two different ports, got 4105 for both"),
    ],
)
def test_init_checks_before_it_makes_anything(fanka, tmp_path, options, said) -> None:
    assert said in fanka.error("init", tmp_path / "new", *options)
    assert not (tmp_path / "new").exists()


def test_init_on_a_full_disk(fanka, tmp_path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("server.folder.write_new", full)
    said = f'{tmp_path / "new"}: expected room on the disk, got "No space left on device"; make some'
    assert fanka.error("init", tmp_path / "new") == said


def test_init_where_no_folder_can_be(fanka) -> None:
    said = fanka.error("init", "/proc/x")
    assert said.startswith("/proc/x: expected a place where a folder can be made, got")
    assert said.endswith("choose another place")
