"""`fanka` as a process's entry point: what Ctrl-C leaves behind, and `init` before anything is made."""

from __future__ import annotations

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


def test_init_where_no_folder_can_be(fanka) -> None:
    said = fanka.error("init", "/proc/x")
    assert said.startswith("/proc/x: expected a place where a folder can be made, got")
    assert said.endswith("choose another place")
