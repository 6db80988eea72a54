"""TCP small queues: a connection keeps little in its own host's queues, so that it does not fill them by itself.

Source: Linux tcp_small_queue_check(): a socket may have about a millisecond of its data below TCP, two segments at
least; what follows is sent when some of that has left. So a sender is not its own bottleneck's worst enemy: the queue
of a slow interface holds a millisecond per connection instead of a thousand packets.
Limits: the millisecond is counted at the line's rate, where Linux takes the connection's pacing rate. As many frames
again may wait for the CPU, 64 where the line has no rate or is not known yet. Under CoDel and RED the time is that of a
queue of which nothing is dropped.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emu.device.cable_direction import CableDirection
    from emu.stack.tcp_link import TcpLink

QUEUE_NS = 1_000_000
FRAMES_MIN = 2
CPU_FRAMES_MAX = 64


class SmallQueue:
    """What a connection has in the queues of its host.

    waiting_for_cpu: frames that wait for the CPU.
    """

    __slots__ = ("_cpu_frames_max", "_kernel", "_leaves", "_link", "_wakes", "waiting_for_cpu")

    def __init__(self, link: TcpLink) -> None:
        self._link = link
        self._kernel = link.namespace.kernel
        self._leaves: deque[int] = deque()
        self._wakes = False
        self._cpu_frames_max = CPU_FRAMES_MAX
        self.waiting_for_cpu = 0

    def line_entered(self, line: CableDirection) -> None:
        """Note that a frame was given to a device whose line is `line`; stop the sender when that is enough."""
        now_ns = self._kernel.now
        leaves = self._leaves
        while leaves and leaves[0] <= now_ns:
            leaves.popleft()
        leaves_ns = line.busy // line.scale if line.queued is None else line.queued.leaves_ns()
        if leaves_ns <= now_ns:
            return
        leaves.append(leaves_ns)
        count = len(leaves)
        if count >= FRAMES_MIN and not self._wakes:
            frame_ns = leaves_ns - leaves[-2]
            if frame_ns:
                self._cpu_frames_max = min(max(QUEUE_NS // frame_ns, FRAMES_MIN), CPU_FRAMES_MAX)
            if count * frame_ns >= QUEUE_NS:
                self._link.connection.sender.blocked = True
                self._wakes = True
                self._kernel.call_at(leaves[count >> 1], self._wake)

    def cpu_entered(self) -> None:
        """Note that a frame waits for the CPU."""
        self.waiting_for_cpu += 1
        if self.waiting_for_cpu >= self._cpu_frames_max:
            self._link.connection.sender.blocked = True

    def cpu_left(self) -> None:
        """Note that the CPU has got to a frame."""
        self.waiting_for_cpu -= 1
        sender = self._link.connection.sender
        if sender.blocked and not self._wakes and self.waiting_for_cpu <= self._cpu_frames_max >> 1:
            self._wakes = True
            self._kernel.soon(self._wake)

    def _wake(self, _: object) -> None:
        """Let the sender go on."""
        self._wakes = False
        connection = self._link.connection
        connection.sender.blocked = False
        if connection.was_established:
            connection.resume(self._kernel.now)
            self._link.settle()
