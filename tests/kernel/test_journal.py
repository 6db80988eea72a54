"""The journal tells listeners about drops and keeps a bounded number of notes."""

from enum import Enum

from emu.kernel import Kernel, journal


class Reason(Enum):
    LOST = "lost"


class Frame:
    data = b"frame"
    packet_id = 1
    altered = False


def test_every_drop_reaches_the_listeners_with_time_reason_and_place():
    kernel, seen, frame = Kernel(), [], Frame()
    kernel.journal.drop_listeners.append(lambda *event: seen.append(event))
    kernel.call_later(5, lambda _: kernel.journal.drop(frame, Reason.LOST, "web1:eth0"))
    kernel.run()
    assert seen == [(5, frame, Reason.LOST, "web1:eth0")]


def test_causes_are_kept_only_when_somebody_reads_them():
    kernel = Kernel()
    kernel.journal.caused(2, 1)
    assert kernel.journal.annotation(2) is None
    kernel.journal.keep_annotations = True
    kernel.journal.caused(2, 1)
    kernel.journal.caused(3, "port unreachable for #1")
    assert kernel.journal.annotation(2) == "caused by #1"
    assert kernel.journal.annotation(3) == "port unreachable for #1"


def test_the_number_of_notes_is_bounded_and_the_oldest_go_first(monkeypatch):
    monkeypatch.setattr(journal, "ANNOTATIONS_MAX", 3)
    kernel = Kernel()
    kernel.journal.keep_annotations = True
    for packet_id in range(10):
        kernel.journal.caused(packet_id, 0)
    assert list(kernel.journal.annotations) == [7, 8, 9]


def test_packet_ids_count_from_one_in_each_emulation():
    assert [Kernel().next_packet_id(), Kernel().next_packet_id()] == [1, 1]
    kernel = Kernel()
    assert [kernel.next_packet_id() for _ in range(3)] == [1, 2, 3]
