"""Whose fault is it? The user's file gets one line with its place; a bug of emu gets a crash report."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from emu.kernel import Kernel
from emu.kernel.errors import InvalidValue
from emu.kernel.units import parse_time_ns
from emu.scenario import failure
from emu.scenario.failure import EXIT_BUG, EXIT_USER_ERROR, Failure, explain, write_crash


def failure_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, **names: object) -> Failure:
    """Run a script's text from a file of its own and explain what it raises."""
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "script.py"
    file.write_text(source)
    module = ModuleType("script")
    module.__dict__.update(names)
    try:
        exec(compile(source, str(file), "exec"), module.__dict__)
    except Exception as error:
        return explain(error)
    raise AssertionError("the script was meant to fail")


def test_an_exception_of_the_script_is_one_line_with_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = failure_of(tmp_path, monkeypatch, "x = 1\ny = x / 0\n")
    assert (found.line, found.exit_code) == ("script.py:2: ZeroDivisionError: division by zero", EXIT_USER_ERROR)
    assert "Traceback" in found.traceback_text


def test_an_error_of_emu_names_the_line_that_called_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = failure_of(tmp_path, monkeypatch, "\n\nparse('10')\n", parse=parse_time_ns)
    assert found.exit_code == EXIT_USER_ERROR
    assert found.line.startswith("script.py:3: invalid time '10': the unit is missing")


def test_a_library_that_fails_for_the_script_is_the_scripts_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = failure_of(tmp_path, monkeypatch, "import json\njson.loads('{')\n")
    assert found.exit_code == EXIT_USER_ERROR
    assert found.line.startswith("script.py:2: JSONDecodeError: ")


def test_a_socket_error_that_the_script_does_not_handle_is_the_scripts_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send() -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(failure, "_PACKAGE_FOLDER", Path(__file__).parent)
    found = failure_of(tmp_path, monkeypatch, "send()\n", send=send)
    assert (found.line, found.exit_code) == (
        "script.py:1: ConnectionRefusedError: [Errno 111] Connection refused",
        EXIT_USER_ERROR,
    )


def test_an_exception_inside_emu_is_a_bug_even_when_the_script_called_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel()
    found = failure_of(tmp_path, monkeypatch, "kernel.call_later(-1, print)\n", kernel=kernel)
    assert found.exit_code == EXIT_BUG
    assert found.line == "bug in emu: AssertionError: a delay of -1 ns"


def test_an_exception_in_a_process_of_the_script_names_the_line_in_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def work():\n    yield kernel.timeout(5)\n    raise KeyError('db')\nkernel.spawn(work())\nkernel.run()\n"
    found = failure_of(tmp_path, monkeypatch, source, kernel=Kernel())
    assert (found.line, found.exit_code) == ("script.py:3: KeyError: db", EXIT_USER_ERROR)


def test_a_syntax_error_names_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SyntaxError) as caught:
        compile("x = 1\ny = (\n", str(tmp_path / "broken.py"), "exec")
    found = explain(caught.value)
    assert (found.line, found.exit_code) == ("broken.py:2: '(' was never closed", EXIT_USER_ERROR)


def test_the_place_that_planned_a_task_is_named_when_the_task_fails_later() -> None:
    error = InvalidValue("bad")
    error.place = ("/elsewhere/script.py", 7)  # type: ignore[attr-defined]
    assert explain(error).line == "/elsewhere/script.py:7: bad"


def test_a_message_of_several_lines_becomes_one() -> None:
    assert explain(InvalidValue("invalid network config:\ninvalid subnet")).line == (
        "invalid network config: invalid subnet"
    )


def test_a_bare_assertion_shows_the_line_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = failure_of(tmp_path, monkeypatch, "x = 1\nassert x == 2\n")
    assert found.line == "script.py:2: AssertionError: assert x == 2"


def test_the_crash_report_is_the_traceback(tmp_path: Path) -> None:
    crash = Failure("bug in emu: ...", EXIT_BUG, "Traceback ...\n")
    file = write_crash(crash, tmp_path / "new" / "folder")
    assert file is not None
    assert file.read_text() == "Traceback ...\n"
    assert write_crash(crash, None) is None
