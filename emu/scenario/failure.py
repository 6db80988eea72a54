"""Whose fault an exception is: the user's script (one line, exit 2) or emu itself (crash.txt, exit 3)."""

from __future__ import annotations

import linecache
import sysconfig
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from emu.kernel.errors import EmuError

EXIT_USER_ERROR = 2
EXIT_BUG = 3

CRASH_FILE = "crash.txt"

_PACKAGE_FOLDER = Path(__file__).resolve().parents[1]
_LIBRARY_FOLDERS = tuple(
    sorted({Path(sysconfig.get_path(key)).resolve() for key in ("stdlib", "platstdlib", "purelib", "platlib")})
)


@dataclass(frozen=True, slots=True)
class Failure:
    """What to tell the user about an exception.

    line: one line, `file:line: message` when the place in the script is known.
    exit_code: 2 for a mistake in the user's input, 3 for a bug of emu.
    traceback_text: for crash.txt and `--traceback`.
    """

    line: str
    exit_code: int
    traceback_text: str


def explain(error: BaseException) -> Failure:
    """Tell a user's mistake from a bug and put it in one line.

    An `EmuError` is the user's, and so is any exception that was raised in a file which is neither emu's nor a
    library's. An `OSError` that a socket raised into a script is the script's too: a program has to handle it.
    """
    text = "".join(traceback.format_exception(error))
    if isinstance(error, SyntaxError) and error.filename and _is_user_file(error.filename):
        return Failure(f"{_shown(error.filename)}:{error.lineno}: {error.msg}", EXIT_USER_ERROR, text)
    frames = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(_full_traceback(error))]
    user_frames = [entry for entry in frames if _is_user_file(entry[0])]
    message = _message(error)
    where = getattr(error, "place", None) or (user_frames[-1] if user_frames else None)
    place = f"{_shown(where[0])}:{where[1]}: " if where is not None else ""
    if isinstance(error, EmuError):
        return Failure(place + message, EXIT_USER_ERROR, text)
    if where is not None and (isinstance(error, OSError) or _raised_by_user(frames)):
        return Failure(f"{place}{type(error).__name__}: {message}", EXIT_USER_ERROR, text)
    return Failure(f"bug in emu: {type(error).__name__}: {message}", EXIT_BUG, text)


def write_crash(failure: Failure, folder: Path | None) -> Path | None:
    """Write the traceback to crash.txt in the folder of results; None when it can't be written."""
    if folder is None:
        return None
    file = folder / CRASH_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(failure.traceback_text, encoding="utf-8")
    except OSError:
        return None
    return file


def _message(error: BaseException) -> str:
    """The error's text in one line; the text of the failed line for a bare assertion."""
    text = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    if text:
        return text
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames:
        return "no message"
    frame, line = frames[-1]
    return linecache.getline(frame.f_code.co_filename, line).strip() or "no message"


def _full_traceback(error: BaseException) -> TracebackType | None:
    """The traceback down to where the error began.

    SimPy raises a copy of a failed process's exception, with the original as its cause.
    """
    cause = error.__cause__
    if cause is not None and type(cause) is type(error) and cause.args == error.args:
        return cause.__traceback__
    return error.__traceback__


def _raised_by_user(frames: list[tuple[str, int]]) -> bool:
    """Whether the innermost frame that is not a library's is the user's."""
    for filename, _ in reversed(frames):
        if _is_emu_file(filename):
            return False
        if _is_user_file(filename):
            return True
    return False


def _is_emu_file(filename: str) -> bool:
    return Path(filename).resolve().is_relative_to(_PACKAGE_FOLDER)


def _is_user_file(filename: str) -> bool:
    if filename.startswith("<"):  # "<frozen importlib>", "<string>"
        return False
    path = Path(filename).resolve()
    if path.is_relative_to(_PACKAGE_FOLDER):
        return False
    if "site-packages" in path.parts or "dist-packages" in path.parts:
        return False
    return not any(path.is_relative_to(folder) for folder in _LIBRARY_FOLDERS)


def _shown(filename: str) -> str:
    """The file as the user would name it: relative to where they are, when it is below."""
    path = Path(filename)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
