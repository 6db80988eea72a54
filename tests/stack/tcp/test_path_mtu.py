"""A path that carries less than was thought (RFC 1191): segments get smaller, what was too long is sent again."""

from tests.stack.tcp.language import connecting, established, ms, s

FULL = 1448


def test_what_was_too_long_is_sent_again_in_smaller_pieces_at_once():
    tcp = established()
    tcp.write(2 * FULL)
    tcp.recv(".", length=FULL)
    tcp.recv("P.", length=FULL)
    tcp.connection.path_mtu_changed(1400, tcp.now)
    tcp.recv(seq=1, at=0, retransmission=True, length=1348)


def test_all_bytes_arrive_after_the_path_shrank():
    tcp = established()
    data = bytes(range(256)) * 40
    tcp.write(data)
    tcp.sent.clear()
    tcp.connection.path_mtu_changed(1000, tcp.now)
    arrived = bytearray(len(data))
    top = 1
    while top <= len(data):
        assert tcp.sent, f"nothing more after {top}"
        for sent in tcp.sent:
            assert sent.length <= 948
            arrived[sent.seq - 1 : sent.seq - 1 + sent.length] = sent.payload
            top = max(top, sent.seq + sent.length)
        tcp.sent.clear()
        tcp.send(".", ack=top, at=tcp.now + ms(1))
    assert bytes(arrived) == data


def test_new_data_has_the_new_size():
    tcp = established()
    tcp.connection.path_mtu_changed(1400, tcp.now)
    tcp.recv_nothing()
    tcp.write(5000)
    assert tcp.recv().length == 1348


def test_a_path_that_grows_again_is_used():
    tcp = established()
    tcp.connection.path_mtu_changed(1400, 0)
    tcp.connection.path_mtu_changed(1500, s(600))
    tcp.write(5000, at=s(600))
    assert tcp.recv().length == FULL


def test_the_announced_mss_stays_what_the_interface_has():
    tcp = connecting()
    tcp.connection.path_mtu_changed(1400, 0)
    tcp.recv("S", mss=1460, at=s(1))
    tcp.send("S.", seq=0, ack=1)
    tcp.recv(".")
    tcp.write(5000)
    assert tcp.recv().length == 1348
