"""The bytes of a pcapng file, read back by an independent strict reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emu.capture import InterfaceInfo, PcapngWriter
from emu.capture.pcapng import RECORDS_PER_FLUSH
from emu.kernel import DIRECTION_IN, DIRECTION_OUT
from emu.version import __version__
from emu.wire.frame import Frame
from tests.capture.frames import DB, WEB, arp_request, echo
from tests.capture.pcapng_reader import BadPcapng, CaptureFile, read_pcapng


def written(folder: Path, use: Callable[[PcapngWriter], Any], **options: Any) -> CaptureFile:
    """What the reader finds after `use` has written a file."""
    writer = PcapngWriter(folder / "capture.pcapng", **options)
    use(writer)
    writer.close(5_000)
    return read_pcapng(folder / "capture.pcapng")


def test_an_empty_capture_is_a_section_header_with_constant_options(tmp_path: Path) -> None:
    capture = written(tmp_path, lambda writer: None, comment="emu run first_ping.py --seed 1")
    assert capture.block_types == [0x0A0D0D0A]
    assert capture.comment == "emu run first_ping.py --seed 1"
    assert capture.application == f"emu {__version__}"
    assert (capture.hardware, capture.os) == ("emulated", "Linux (emulated)")


def test_an_interface_is_described_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    interface = written(tmp_path, lambda writer: writer.add_interface(WEB)).interface("web1:eth0")
    assert interface.description == "container web1, network shop, MTU 1500"
    assert interface.mac == bytes.fromhex("0242ac120002")
    assert interface.speed_bps == 10_000_000_000
    assert interface.hardware == "veth"
    assert interface.os == "Linux (emulated)"
    assert interface.snaplen == 0


def test_a_description_that_says_the_mtu_already_is_left_as_it_is(tmp_path: Path) -> None:
    info = InterfaceInfo("web1:eth0", description="veth 02:42:ac:12:00:02 mtu 1500", mtu=1500)
    interface = written(tmp_path, lambda writer: writer.add_interface(info)).interface("web1:eth0")
    assert interface.description == "veth 02:42:ac:12:00:02 mtu 1500"


def test_what_is_not_known_of_an_interface_is_left_out(tmp_path: Path) -> None:
    interface = written(tmp_path, lambda writer: writer.add_interface(InterfaceInfo("tor"))).interface("tor")
    assert (interface.mac, interface.speed_bps, interface.description, interface.hardware) == (None, None, "", "")


def test_a_frame_keeps_its_bytes_its_time_its_direction_and_its_passport(tmp_path: Path) -> None:
    def use(writer: PcapngWriter) -> None:
        web, db = writer.add_interface(WEB), writer.add_interface(DB)
        web.tap(1_000, Frame(echo(), 41), DIRECTION_OUT)
        db.tap(2_500, Frame(echo(), 41), DIRECTION_IN)

    out, into = written(tmp_path, use).packets
    assert (out.name, out.time_ns, out.direction, out.packet_id, out.data) == ("web1:eth0", 1_000, 2, 41, echo())
    assert (into.name, into.time_ns, into.direction, into.packet_id, into.data) == ("db:eth0", 2_500, 1, 41, echo())
    assert (out.comments, out.drop_count, out.verdict) == ([], 0, None)


def test_time_zero_is_the_first_of_january_2000(tmp_path: Path) -> None:
    written(tmp_path, lambda writer: writer.add_interface(WEB).tap(0, Frame(b"x", 1), 1))
    data = (tmp_path / "capture.pcapng").read_bytes()
    epoch = 946_684_800_000_000_000
    assert (epoch >> 32).to_bytes(4, "little") + (epoch & 0xFFFFFFFF).to_bytes(4, "little") in data


def test_an_interface_may_be_added_while_frames_are_written(tmp_path: Path) -> None:
    def use(writer: PcapngWriter) -> None:
        writer.add_interface(WEB).tap(0, Frame(b"first", 1), 1)
        writer.add_interface(DB, now_ns=10).tap(10, Frame(b"second", 2), 1)

    capture = written(tmp_path, use)
    assert [packet.name for packet in capture.packets] == ["web1:eth0", "db:eth0"]
    assert capture.block_types == [0x0A0D0D0A, 1, 6, 1, 6, 5, 5]


def test_a_note_about_a_packet_becomes_its_comment_on_every_interface(tmp_path: Path) -> None:
    notes = {42: "caused by #41"}

    def use(writer: PcapngWriter) -> None:
        web, db = writer.add_interface(WEB), writer.add_interface(DB)
        web.tap(0, Frame(b"request", 41), 2)
        db.tap(1, Frame(b"reply", 42), 2)
        web.tap(2, Frame(b"reply", 42), 1)

    packets = written(tmp_path, use, annotations=notes).packets
    assert [packet.comments for packet in packets] == [[], ["caused by #41"], ["caused by #41"]]
    assert [packet.packet_id for packet in packets] == [41, 42, 42]
    assert [packet.direction for packet in packets] == [2, 2, 1]


def test_frames_that_never_reached_the_tap_are_counted_at_the_next_one_and_in_the_statistics(tmp_path: Path) -> None:
    def use(writer: PcapngWriter) -> None:
        web = writer.add_interface(WEB)
        web.tap(0, Frame(b"one", 1), 2)
        web.miss()
        web.miss()
        web.tap(1, Frame(b"four", 4), 2)
        web.tap(2, Frame(b"five", 5), 2)
        web.miss()

    capture = written(tmp_path, use)
    assert [packet.drop_count for packet in capture.packets] == [0, 2, 0]
    statistics = capture.interface("web1:eth0").statistics
    assert statistics is not None
    assert (statistics.received, statistics.dropped) == (3, 3)


def test_a_dropped_frame_carries_its_reason_and_what_caused_it(tmp_path: Path) -> None:
    def use(writer: PcapngWriter) -> None:
        writer.add_interface(WEB).write_drop(7, Frame(arp_request(), 3), "drop: it was late at web1:eth0")

    (packet,) = written(tmp_path, use, annotations={3: "caused by #1"}).packets
    assert packet.comments == ["drop: it was late at web1:eth0", "caused by #1"]
    assert (packet.direction, packet.packet_id, packet.time_ns, packet.data) == (0, 3, 7, arp_request())
    assert packet.verdict is None


def test_a_dropped_frame_carries_a_verdict_if_that_is_wanted(tmp_path: Path) -> None:
    def use(writer: PcapngWriter) -> None:
        writer.add_interface(WEB).write_drop(7, Frame(b"x", 3), "drop: why at where", with_verdict=True)

    (packet,) = written(tmp_path, use).packets
    assert packet.verdict == (1, 2)  # eBPF TC, TC_ACT_SHOT


def test_statistics_say_from_when_to_when_each_interface_was_captured(tmp_path: Path) -> None:
    def use(writer: PcapngWriter) -> None:
        writer.add_interface(WEB, now_ns=0).tap(4_000, Frame(b"x", 1), 1)
        writer.add_interface(DB, now_ns=3_000)

    capture = written(tmp_path, use)
    web, db = capture.interface("web1:eth0").statistics, capture.interface("db:eth0").statistics
    assert web is not None
    assert db is not None
    assert (web.start_ns, web.end_ns, web.received, web.dropped) == (0, 5_000, 1, 0)
    assert (db.start_ns, db.end_ns, db.received, db.dropped) == (3_000, 5_000, 0, 0)


def test_names_of_addresses_are_written_where_they_become_known(tmp_path: Path) -> None:
    def use(writer: PcapngWriter) -> None:
        writer.add_names([(bytes([172, 18, 0, 2]), ["web1.shop", "web1"])])
        writer.add_interface(WEB).tap(0, Frame(b"x", 1), 1)
        writer.add_names([(bytes(15) + b"\1", ["localhost"])])
        writer.add_names([])

    capture = written(tmp_path, use)
    assert capture.names == {bytes([172, 18, 0, 2]): ["web1", "web1.shop"], bytes(15) + b"\1": ["localhost"]}
    # The interface comes first: mergecap refuses a file that begins with names.
    assert capture.block_types == [0x0A0D0D0A, 1, 4, 6, 4, 5]


@pytest.mark.parametrize("size", [0, 1, 95, 96, 97, 1500])
def test_snaplen_keeps_the_first_bytes_and_the_true_length(tmp_path: Path, size: int) -> None:
    data = bytes(i & 0xFF for i in range(size))

    def use(writer: PcapngWriter) -> None:
        web = writer.add_interface(WEB)
        web.tap(0, Frame(data, 1), 1)
        web.tap(1, Frame(data, 2), 1)
        web.write_drop(2, Frame(data, 3), "drop: why at where")

    capture = written(tmp_path, use, snaplen=96, annotations={2: "a note"})
    assert capture.interface("web1:eth0").snaplen == 96
    assert [packet.data for packet in capture.packets] == [data[:96]] * 3
    assert [packet.length for packet in capture.packets] == [size] * 3
    assert [packet.comments for packet in capture.packets] == [[], ["a note"], ["drop: why at where"]]


def test_a_comment_longer_than_an_option_is_cut_at_a_whole_character(tmp_path: Path) -> None:
    def use(writer: PcapngWriter) -> None:
        writer.add_interface(WEB).tap(0, Frame(b"x", 1), 1)

    (packet,) = written(tmp_path, use, annotations={1: "→" * 30_000}).packets
    assert packet.comments == ["→" * (65_535 // 3)]


def test_the_file_is_valid_after_every_flush_and_holds_all_frames_so_far(tmp_path: Path) -> None:
    writer = PcapngWriter(tmp_path / "capture.pcapng")
    web = writer.add_interface(WEB)
    for number in range(5):
        web.tap(number, Frame(bytes(number), number + 1), 1)
        writer.flush()
        assert len(read_pcapng(tmp_path / "capture.pcapng").packets) == number + 1
    writer.close()


def test_frames_are_gathered_and_written_together(tmp_path: Path) -> None:
    writer = PcapngWriter(tmp_path / "capture.pcapng")
    web = writer.add_interface(WEB)
    frame = Frame(bytes(60), 1)
    for number in range(10 * RECORDS_PER_FLUSH):
        web.tap(number, frame, 1)
        assert len(writer.pending) <= 3 * RECORDS_PER_FLUSH + 1
    on_disk = len(read_pcapng(tmp_path / "capture.pcapng").packets)
    assert 9 * RECORDS_PER_FLUSH < on_disk < 10 * RECORDS_PER_FLUSH + 1
    writer.close()
    assert len(read_pcapng(tmp_path / "capture.pcapng").packets) == 10 * RECORDS_PER_FLUSH


def test_closing_twice_writes_the_statistics_once_and_a_late_tap_does_no_harm(tmp_path: Path) -> None:
    writer = PcapngWriter(tmp_path / "capture.pcapng")
    web = writer.add_interface(WEB)
    writer.close(1)
    writer.close(2)
    for number in range(2 * RECORDS_PER_FLUSH):
        web.tap(number, Frame(b"late", 1), 1)
    writer.flush()
    assert read_pcapng(tmp_path / "capture.pcapng").block_types == [0x0A0D0D0A, 1, 5]


def test_the_reader_notices_a_file_that_is_cut_off_anywhere_but_between_blocks(tmp_path: Path) -> None:
    written(tmp_path, lambda writer: writer.add_interface(WEB).tap(0, Frame(b"frame", 1), 1))
    data = (tmp_path / "capture.pcapng").read_bytes()
    whole = 0
    for length in range(len(data) + 1):
        (tmp_path / "cut.pcapng").write_bytes(data[:length])
        try:
            read_pcapng(tmp_path / "cut.pcapng")
            whole += 1
        except BadPcapng:
            pass
    assert whole == 4  # after the section header, the interface, the frame and the statistics


@given(
    frames=st.lists(
        st.tuples(
            st.integers(0, 2**63),
            st.binary(max_size=200),
            st.integers(0, 2**64 - 1),
            st.sampled_from([1, 2]),
            st.sampled_from([None, "caused by #1", "drop: “ü”"]),
        )
    ),
    snaplen=st.integers(0, 100),
)
def test_any_frame_at_any_time_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory,
    frames: list[tuple[int, bytes, int, int, str | None]],
    snaplen: int,
) -> None:
    notes = {packet_id: note for _, _, packet_id, _, note in frames if note is not None}

    def use(writer: PcapngWriter) -> None:
        taps = [writer.add_interface(WEB).tap, writer.add_interface(DB).tap]
        for number, (now_ns, data, packet_id, direction, _) in enumerate(frames):
            taps[number % 2](now_ns, Frame(data, packet_id), direction)

    folder = tmp_path_factory.mktemp("capture")
    capture = written(folder, use, snaplen=snaplen, annotations=notes)
    kept = snaplen or 200
    assert [(p.time_ns, p.data, p.length, p.packet_id, p.direction, p.comments) for p in capture.packets] == [
        (time, data[:kept], len(data), packet_id, direction, [notes[packet_id]] if packet_id in notes else [])
        for time, data, packet_id, direction, _ in frames
    ]
