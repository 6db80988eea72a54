"""The web server and client: pages, handlers, keep-alive, chunks, and what curl says about broken peers."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emu.kernel.errors import InvalidValue
from emu.traffic.http_client import HttpClient, request_options
from emu.traffic.http_log import LogEntry, http_date
from emu.traffic.http_messages import HttpRequest, HttpResponse
from emu.traffic.http_result import HttpResult
from emu.traffic.http_server import HttpServer
from tests.traffic.fake_tcp import SERVER, FakeTcpNamespace, FakeTcpSocket, run, serve

MS = 1_000_000
SECOND = 1_000_000_000


def get(namespace: FakeTcpNamespace, port: int = 80, **options: Any) -> HttpResult:
    client = HttpClient(namespace, SERVER, port, request_options(**options), host="db")  # type: ignore[arg-type]
    result: HttpResult = run(namespace, client.run())
    return result


def site(**options: Any) -> tuple[FakeTcpNamespace, HttpServer]:
    namespace = FakeTcpNamespace()
    return namespace, HttpServer(namespace, 80, **options)  # type: ignore[arg-type]


def raw(data: bytes, *, close: bool = True) -> FakeTcpNamespace:
    """A server that answers everything with these bytes."""
    namespace = FakeTcpNamespace()

    def script(socket: FakeTcpSocket) -> Generator[Any, Any, None]:
        yield socket.recv()
        if data:
            yield socket.send(data)
        if close:
            socket.close()

    serve(namespace, 80, script)
    return namespace


def say(namespace: FakeTcpNamespace, *pieces: bytes) -> bytes:
    """Send bytes to the server one after the other, and return all that comes back."""
    got = bytearray()

    def program() -> Generator[Any, Any, None]:
        socket = namespace.tcp_socket()
        yield socket.connect(SERVER, 80)
        for piece in pieces:
            yield socket.send(piece)
            yield namespace.kernel.timeout(10 * MS)
        socket.shutdown("write")
        while data := (yield socket.recv()):
            got.extend(data)

    run(namespace, program())
    return bytes(got)


# -- what goes well ---------------------------------------------------------------------------------------------------


def test_a_page_arrives_with_its_status_headers_and_times() -> None:
    namespace, server = site(pages={"/": "hello"})
    result = get(namespace)
    assert (result.status, result.body, result.ok, result.exit_code) == (200, b"hello", True, 0)
    assert (result.connect_ns, result.first_byte_ns, result.total_ns) == (2 * MS, 4 * MS, 4 * MS)
    assert result.headers == (
        ("Server", "emu"), ("Date", "Sat, 01 Jan 2000 00:00:00 GMT"), ("Content-Type", "text/html"),
        ("Content-Length", "5"),
    )  # fmt: skip
    assert result.outcome == "200 (5 bytes)"
    assert server.requests == 1


def test_the_text_is_what_curl_sv_prints() -> None:
    namespace, _ = site(pages={"/": "hello"})
    assert get(namespace).text == (
        "*   Trying 10.0.0.3:80...\n"
        "* Connected to db (10.0.0.3) port 80 (#0)\n"
        "> GET / HTTP/1.1\n"
        "> Host: db\n"
        "> User-Agent: emu\n"
        "> Accept: */*\n"
        "> \n"
        "< HTTP/1.1 200 OK\n"
        "< Server: emu\n"
        "< Date: Sat, 01 Jan 2000 00:00:00 GMT\n"
        "< Content-Type: text/html\n"
        "< Content-Length: 5\n"
        "< \n"
        "{ [5 bytes data]\n"
        "* Connection #0 to host db left intact\n"
    )


def test_several_paths_are_asked_for_on_one_connection() -> None:
    namespace, _ = site(pages={"/": "a", "/b.json": "{}", "/c": 100_000})
    result = get(namespace, path=["/", "/b.json", "/c"])
    assert [len(answer.body) for answer in result.answers] == [1, 2, 100_000]
    assert result.answers[1].header("content-type") == "application/json"
    assert sum(socket.peer is not None for socket in namespace.sockets) == 2  # the two ends of one connection
    assert "* Re-using existing connection #0 with host db\n" in result.text


def test_connection_close_ends_the_connection_and_the_next_path_gets_a_new_one() -> None:
    namespace, server = site(pages={"/": "a"})
    result = get(namespace, path=["/", "/"], headers={"Connection": "close"})
    assert result.text.count("* Connected to db") == 2
    assert "(#1)" in result.text
    assert server.requests == 2


def test_chunks_arrive_one_by_one_and_become_one_body() -> None:
    namespace, _ = site(pages={"/": HttpResponse([b"abc", b"", b"defg"])})
    result = get(namespace)
    assert result.body == b"abcdefg"
    assert ("Transfer-Encoding", "chunked") in result.headers
    assert b"\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n" in say(namespace, b"GET / HTTP/1.1\r\nHost: db\r\n\r\n")


def test_a_client_of_http_1_0_gets_the_pieces_without_chunks_and_the_end_of_the_connection() -> None:
    namespace, _ = site(pages={"/": HttpResponse([b"abc", b"defg"])})
    answer = say(namespace, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nabcdefg")
    assert b"chunked" not in answer


def test_head_gives_the_length_without_the_body() -> None:
    namespace, server = site(pages={"/": "hello"})
    result = get(namespace, method="HEAD")
    assert (result.status, result.body, result.answers[0].header("content-length")) == (200, b"", "5")
    assert server.log_text.endswith('"HEAD / HTTP/1.1" 200 -\n')


def test_a_handler_sees_the_request_and_may_take_its_time() -> None:
    namespace = FakeTcpNamespace()
    seen: list[HttpRequest] = []

    def handler(request: HttpRequest) -> Generator[Any, Any, HttpResponse]:
        seen.append(request)
        yield namespace.kernel.timeout(50 * MS)
        return HttpResponse(request.body[::-1], 201, (("X-Query", request.query),))

    HttpServer(namespace, 80, handler=handler)  # type: ignore[arg-type]
    result = get(namespace, path="/items?x=1", method="POST", data="abc", headers={"X-One": "1"})
    assert (result.status, result.body, result.answers[0].header("x-query")) == (201, b"cba", "x=1")
    assert result.first_byte_ns == 54 * MS
    (request,) = seen
    assert (request.method, request.path, request.header("x-one"), request.version) == ("POST", "/items", "1", "1.1")
    assert request.header("Content-Type") == "application/x-www-form-urlencoded"


def test_a_page_that_is_not_there_is_404_and_pages_take_no_posts() -> None:
    namespace, server = site(pages={"/": "hello"})
    missing, refused = get(namespace, path="/nope"), get(namespace, method="POST", data="a=b")
    assert (missing.status, missing.ok) == (404, False)
    assert (refused.status, refused.answers[0].header("allow")) == (405, "GET, HEAD")
    assert [entry.status for entry in server.log] == [404, 405]


def test_requests_in_pieces_and_pipelined_are_answered_in_order() -> None:
    namespace, server = site(pages={"/a": "first", "/b": "second"})
    wire = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = say(namespace, wire[:10], wire[10:40], wire[40:])
    assert answer.index(b"first") < answer.index(b"second")
    assert server.requests == 2


def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    namespace, _ = site(handler=lambda request: request.body)
    head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n"
    answer = say(namespace, head, b"abc")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n")
    assert answer.endswith(b"\r\n\r\nabc")


def test_the_access_log_is_in_the_common_log_format() -> None:
    namespace, server = site(pages={"/": "hello"})
    get(namespace)
    assert server.log_text == '10.0.0.2 - - [01/Jan/2000:00:00:00 +0000] "GET / HTTP/1.1" 200 5\n'


@pytest.mark.parametrize(
    ("time_ns", "date"),
    [(0, "Sat, 01 Jan 2000 00:00:00 GMT"), (59 * 86_400 * SECOND + 3723 * SECOND, "Tue, 29 Feb 2000 01:02:03 GMT")],
)
def test_dates_begin_where_captures_begin(time_ns: int, date: str) -> None:
    assert http_date(time_ns) == date
    assert f"{date[5:7]}/{date[8:11]}/{date[12:16]}:{date[17:25]}" in LogEntry(time_ns, "a", None, 400, 0).text


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4), st.booleans())
def test_any_body_arrives_as_it_was_sent(pieces: list[bytes], chunked: bool) -> None:
    content = b"".join(pieces)
    namespace, _ = site(pages={"/": HttpResponse(pieces if chunked else content)})
    assert get(namespace).body == content


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_a_refused_connection_is_curls_error_7() -> None:
    result = get(FakeTcpNamespace())
    assert result.error == "curl: (7) Failed to connect to db port 80: Connection refused"
    assert (result.exit_code, result.status, result.connect_ns, result.ok) == (7, None, None, False)
    assert result.text == (
        "*   Trying 10.0.0.3:80...\n"
        "* connect to 10.0.0.3 port 80 failed: Connection refused\n"
        "* Failed to connect to db port 80: Connection refused\n"
        "* Closing connection 0\n"
        "curl: (7) Failed to connect to db port 80: Connection refused\n"
    )


def test_a_server_that_never_answers_the_syn_is_error_28_after_the_timeout() -> None:
    namespace = FakeTcpNamespace()
    namespace.unreachable = True
    result = get(namespace, timeout="3s")
    assert result.error == "curl: (28) Failed to connect to db port 80: Connection timed out"
    assert result.total_ns == 3 * SECOND


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", "(52) Empty reply from server"),
        (b"garbage\r\n\r\n", "(1) Received HTTP/0.9 when not allowed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", "(18) transfer closed with 97 bytes remaining to read"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
            "(18) transfer closed with outstanding read data remaining",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
            "(56) Illegal or missing hexadecimal sequence in chunked-encoding",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nabc", "(8) Invalid Content-Length: value"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "(8) Weird server reply: illegal header line"),
        (b"HTTP/1.1 200 O", "(8) Weird server reply: peer unexpectedly closed connection"),
    ],
)
def test_a_malformed_answer_ends_with_curls_words(answer: bytes, error: str) -> None:
    result = get(raw(answer))
    assert result.error is not None
    assert result.error.startswith(f"curl: {error}")
    assert f"* {error.partition(' ')[2]}" in result.text


def test_an_answer_that_stops_is_error_28_with_the_bytes_that_came() -> None:
    result = get(raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", close=False), timeout="2s")
    assert result.error == "curl: (28) Operation timed out after 2000 milliseconds with 43 bytes received"


def test_a_reset_is_error_56() -> None:
    namespace = FakeTcpNamespace()

    def script(socket: FakeTcpSocket) -> Generator[Any, Any, None]:
        yield socket.recv()
        socket.abort()

    serve(namespace, 80, script)
    assert get(namespace).error == "curl: (56) Recv failure: Connection reset by peer"


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    result = get(raw(b"HTTP/1.1 200 OK\r\n\r\nto the end"))
    assert (result.error, result.body) == (None, b"to the end")


@pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", b"GET / HTTP/9\r\n\r\n"])
def test_a_client_that_speaks_something_else_gets_400_and_the_server_goes_on(garbage: bytes) -> None:
    namespace, server = site(pages={"/": "hello"})
    answer = say(namespace, garbage)
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert (server.malformed, server.log[0].request_line) == (1, None)
    assert get(namespace).body == b"hello"


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=1, max_size=200))
def test_no_bytes_from_a_client_bring_the_server_down(garbage: bytes) -> None:
    namespace, _ = site(pages={"/": "hello"})
    say(namespace, garbage)
    assert get(namespace).body == b"hello"


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_from_a_server_end_in_a_result(garbage: bytes) -> None:
    result = get(raw(b"HTTP/1.1 " + garbage))
    assert result.error is not None or result.status is not None


def test_a_closed_server_refuses_and_resets_what_is_open() -> None:
    namespace, server = site(handler=lambda request: _slowly(namespace))

    def close() -> Generator[Any, Any, None]:
        yield namespace.kernel.timeout(10 * MS)
        server.close()

    namespace.kernel.spawn(close())
    assert get(namespace).error == "curl: (56) Recv failure: Connection reset by peer"
    assert get(namespace).exit_code == 7


def _slowly(namespace: FakeTcpNamespace) -> Generator[Any, Any, str]:
    yield namespace.kernel.timeout(SECOND)
    return "late"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"path": "index.html"}, "a path begins with a slash"),
        ({"path": []}, "there is no path"),
        ({"path": "/a b"}, "is not a request"),
        ({"method": "G T"}, "is not a request"),
        ({"headers": {"Bad\nName": "x"}}, "is not a header"),
        ({"headers": {"X": "a\r\nb"}}, "is not a header"),
        ({"headers": {"X": 5}}, "headers are texts"),
        ({"headers": ["X"]}, "headers are texts"),
        ({"headers": {"Content-Length": "1"}, "data": "abc"}, "Content-Length follows from the body"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "Transfer-Encoding follows from the body"),
        ({"data": 5}, "data is text or bytes"),
    ],
)
def test_a_wrong_request_is_one_line(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(text)):
        request_options(**options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pages": {"index": "x"}}, "pages are named by their path"),
        ({"pages": {"/": -1}}, "is text, bytes, a number of bytes, or an HttpResponse"),
        ({"pages": {"/": None}}, "is text, bytes, a number of bytes, or an HttpResponse"),
        ({"pages": "hello"}, "pages is a dict"),
        ({"pages": {"/": 1 << 40}}, "at most 1073741824 are possible"),
        ({"handler": "hello"}, "the handler is a function"),
        ({"pages": {}, "handler": len}, "pages or a handler, not both"),
    ],
)
def test_a_wrong_site_is_one_line(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(text)):
        site(**options)


def test_a_response_checks_its_status_and_body() -> None:
    with pytest.raises(InvalidValue, match="200 to 599, not 99"):
        HttpResponse("x", 99)
    for headers in ({"A b": "c"}, {"A": 3}, (("A", "b", "c"),), {"A": "b\nc"}, {"A": "\xe4"}):
        with pytest.raises(InvalidValue, match=r"^http: .*header"):
            HttpResponse("x", headers=headers)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="Content-Length follows from the body"):
        HttpResponse("x", headers={"Content-Length": "5"})
    with pytest.raises(InvalidValue, match="is not a header"):
        HttpResponse("x", content_type="a\nb")
    with pytest.raises(InvalidValue, match="bytes, text or a list of bytes"):
        HttpResponse([1, 2])  # type: ignore[list-item]


def test_our_messages_are_valid_for_another_parser() -> None:
    namespace, _ = site(pages={"/": "hello"})
    answer = say(namespace, b"GET / HTTP/1.1\r\nHost: db\r\n\r\n")
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "db")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(answer)
    assert [type(connection.next_event()) for _ in range(3)] == [h11.Response, h11.Data, h11.EndOfMessage]
