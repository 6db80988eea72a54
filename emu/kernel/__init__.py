"""Floor 0: time, the event queue, named random streams, units and errors. It knows nothing of networking."""

from emu.kernel.environment import Kernel
from emu.kernel.errors import (
    Conflict,
    EmuError,
    InvalidValue,
    NotFound,
    NotSupported,
    SimulationStuck,
    TaskNotFinished,
)
from emu.kernel.tap import DIRECTION_IN, DIRECTION_OUT, Tap
from emu.kernel.timer import Timer

__all__ = [
    "DIRECTION_IN",
    "DIRECTION_OUT",
    "Conflict",
    "EmuError",
    "InvalidValue",
    "Kernel",
    "NotFound",
    "NotSupported",
    "SimulationStuck",
    "Tap",
    "TaskNotFinished",
    "Timer",
]
