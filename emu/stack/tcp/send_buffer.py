"""Bytes that wait to be sent, and where the program's writes end (for PSH)."""

from __future__ import annotations

from collections import deque

_NO_MARK = 1 << 62


class SendBuffer:
    """A queue of bytes from which segments are cut.

    unsent: how many bytes wait. A mark asks for PSH on the segment that holds the byte before it.
    """

    __slots__ = ("_chunks", "_marks", "_next_mark", "_offset", "_pushed", "_taken", "_written", "unsent")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._offset = 0
        self._marks: deque[int] = deque()
        self._next_mark = _NO_MARK
        self._taken = 0
        self._written = 0
        self._pushed = 0
        self.unsent = 0

    def write(self, data: bytes, push_every: int, segment_size: int, push: bool = True) -> None:
        """Append data; its end is marked, and so are places in between, `push_every` bytes apart at most.

        Those are ends of full segments: Linux collects data in pieces of half the peer's largest window, each of which
        ends with PSH. push: False when more of this write follows.
        """
        if not data:
            return
        self._chunks.append(data)
        self.unsent += len(data)
        start, end = self._written, self._written + len(data)
        self._written = end
        if end - self._pushed > push_every:
            step = max(push_every // segment_size, 2) * segment_size
            while self._pushed + step < end:
                self._mark(max(self._pushed + step, start))
        if push:
            self._mark(end)

    def _mark(self, position: int) -> None:
        self._pushed = position
        if self._next_mark == _NO_MARK:
            self._next_mark = position
        else:
            self._marks.append(position)

    def take(self, size: int) -> bytes:
        """Cut off the next `size` bytes."""
        chunks, offset = self._chunks, self._offset
        chunk = chunks[0]
        end = offset + size
        self.unsent -= size
        self._taken += size
        if end < len(chunk):
            self._offset = end
            return chunk[offset:end]
        if end == len(chunk):
            chunks.popleft()
            self._offset = 0
            return chunk[offset:] if offset else chunk
        parts = [chunk[offset:]]
        missing = end - len(chunk)
        chunks.popleft()
        self._offset = 0
        while missing:
            chunk = chunks[0]
            parts.append(chunk[:missing])
            if len(chunk) > missing:
                self._offset = missing
                break
            missing -= len(chunk)
            chunks.popleft()
        return b"".join(parts)

    def passes_mark(self) -> bool:
        """Tell whether the bytes taken last reach a mark, which is then used up."""
        if self._taken < self._next_mark:
            return False
        marks, taken = self._marks, self._taken
        while marks and marks[0] <= taken:
            marks.popleft()
        self._next_mark = marks.popleft() if marks else _NO_MARK
        return True

    def clear(self) -> None:
        """Throw everything away."""
        self._chunks.clear()
        self._marks.clear()
        self._next_mark = _NO_MARK
        self._offset = self.unsent = 0
