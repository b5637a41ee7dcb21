# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of one supervisord: whom it speaks to, and how it understands every answer."""

from __future__ import annotations

import configparser
import io
import os
import pwd
import re
import socket
import threading
import traceback
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from supervisor.options import ClientOptions

from ansible_collections.jgi.jaws.plugins.module_utils.errors import JawsError
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor import endpoint
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.client import Supervisor
from ansible_collections.jgi.jaws.plugins.module_utils.supervisor.endpoint import (
    Endpoint,
    SupervisordConf,
    endpoint_for,
    find_config,
)

KEY = "a-key_0123456789"
NO_OPTIONS = {
    "config": None,
    "server_url": None,
    "username": None,
    "password": None,
    "supervisorctl_path": None,
}
in_files = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)


# --- where it listens -------------------------------------------------------------------------


def as_supervisorctl_reads(path: Path) -> tuple[str | None, ...] | None:
    """Return url, user and key as Supervisor's own client reads them, or None if it refuses."""
    options = ClientOptions()
    options.stderr = io.StringIO()
    with path.open(encoding="utf-8") as stream:
        # Supervisor itself leaves the file open after a parse error.
        options.open = lambda *_: stream  # type: ignore[method-assign]
        try:
            options.realize(args=["-c", str(path), "status"], doc="")
        except (SystemExit, configparser.Error):
            return None
    found = options.serverurl, options.username, options.password
    # A "%s" without a name would put the whole environment there.
    return None if "'ENV_" in str(found) else found


def as_we_read(path: Path) -> tuple[str | None, ...] | None:
    try:
        found = endpoint_for(dict(NO_OPTIONS, config=str(path)))
    except JawsError as error:
        assert error.reason == "broken_conf"
        return None
    return found.url, found.username, found.password


values = st.lists(
    st.sampled_from(
        [
            "unix://",
            "~/",
            "%(ENV_HOME)s",
            "%(ENV_NONE)s",
            "%%",
            "http://",
            "/tmp/s",
            "~",
            "%(here)s",
            "%(ENV_HOME)s",
            "%(ENV_NONE)s",
            "%%",
            "%",
            "%s",
            "a",
            "B_9-",
            ":9001",
            "h",
            "#",
            "\t;x",
            "\t#x",
            ";",
            "=",
            "\t",
            "é",
            "'",
            '"',
            "../",
        ]
    ),
    max_size=5,
).map("".join)
lines = st.tuples(
    st.sampled_from(["serverurl", "username", "password", "colour", "UserName"]),
    st.sampled_from(["=", " = ", ":"]),
    values,
).map("".join)
texts = st.tuples(
    st.sampled_from(
        ["[supervisorctl]", "[supervisord]\n[supervisorctl]", "[unix_http_server]", ""]
    ),
    st.lists(lines | st.sampled_from(["; note", "# note", "", "junk", "  more", "[supervisord]"])),
).map(lambda parts: "\n".join([parts[0], *parts[1]]) + "\n")


@in_files
@given(text=texts)
@example("[supervisorctl]\nserverurl=unix://%(here)s/s\nusername=jaws\npassword=a-key\n")
@example("[supervisorctl]\nserverurl=unix://~/s ; here\n")
@example("[supervisorctl]\npassword=%(here)s\n")
@example("[supervisorctl]\nserverurl=\n")
@example("[supervisorctl]\npassword=%s\n")
@example("[supervisorctl]\n")
def test_the_endpoint_is_what_supervisorctl_reads_from_the_same_file(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(text, encoding="utf-8")
    assert as_we_read(path) == as_supervisorctl_reads(path)


@in_files
@given(content=st.binary(max_size=200))
@example(b"[supervisorctl]\nserverurl=unix://\x00\n")
def test_a_file_with_any_content_is_read_or_refused_in_words(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_bytes(b"[supervisorctl]\n" + content)
    try:
        found = SupervisordConf(str(path)).endpoint
    except JawsError as error:
        assert error.reason == "broken_conf"
        assert str(path) in str(error)
    else:
        assert found.source == str(path)


def test_a_missing_file_is_unreadable_and_its_path_is_reported(tmp_path: Path) -> None:
    with pytest.raises(JawsError, match=r"/none: No such file.*Correct the path") as caught:
        SupervisordConf(str(tmp_path / "none"))
    assert caught.value.reason == "unreadable_conf"


def test_a_file_that_may_not_be_read_says_who_may(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(
        JawsError, match="log in as its owner or as a member of its group"
    ) as caught:
        SupervisordConf("/the/file")
    assert caught.value.reason == "unreadable_conf"


@pytest.mark.parametrize(
    "text",
    [
        f"[supervisorctl]\npassword={KEY}%x\n",
        f"[supervisorctl]\npassword=%({KEY})s\n",
        f"[supervisorctl]\n{KEY}\n",
        f"{KEY}\n[supervisorctl]\n",
        f"[unix_http_server]\npassword={KEY}\n",
    ],
)
def test_no_error_over_a_file_holds_its_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    with pytest.raises(JawsError) as caught:
        assert SupervisordConf(str(path)).endpoint
    assert caught.value.reason == "broken_conf"
    assert KEY not in "".join(traceback.format_exception(caught.value))


SERVER = "[unix_http_server]\nfile=%(ENV_HOME)s/run/s.sock\nusername=u\npassword=p\n"


@pytest.mark.parametrize(
    "text",
    [
        "[supervisorctl]\nserverurl=unix://%(ENV_HOME)s/run/s.sock\nusername=u\npassword=p\n",
        "[supervisorctl]\nserverurl=unix://~/run/s.sock\nusername=u\npassword=p\n",
        SERVER,
    ],
)
@pytest.mark.parametrize("home", ["that of the account", "another one", "none"])
def test_a_socket_in_the_accounts_home_is_found_whatever_home_the_task_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, home: str
) -> None:
    account = tmp_path / "account"
    (account / "run").mkdir(parents=True)
    (account / "run/s.sock").touch()
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    monkeypatch.setattr(endpoint, "clean_environment", lambda: {"HOME": str(account)})
    if home == "none":
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", str(account if home.startswith("that") else tmp_path))
    found = endpoint_for(dict(NO_OPTIONS, config=str(path)))
    assert found[:3] == (f"unix://{account}/run/s.sock", "u", "p")


def test_a_relative_socket_is_found_from_elsewhere_in_the_directory_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / tmp_path.name).mkdir()
    (tmp_path / tmp_path.name / "s").touch()
    path = tmp_path / "supervisord.conf"
    path.write_text(f"[supervisorctl]\nserverurl=unix://{tmp_path.name}/s\n")
    for folder in ("/", str(tmp_path)):
        monkeypatch.chdir(folder)
        found = endpoint_for(dict(NO_OPTIONS, config=str(path)))
        assert found.url == f"unix://{tmp_path}/{tmp_path.name}/s"


HTTP = "[inet_http_server]\nport={}\nusername=u\npassword=p\n"
UNIX = "[unix_http_server]\nfile=/s\nusername=u\npassword=p\n"
CLIENT = "[supervisorctl]\nserverurl={}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # The key of the server itself, if clients are given none; nobody else's server gets it.
        (UNIX + CLIENT.format("unix:///s"), ("unix:///s", "u", "p")),
        (UNIX + CLIENT.format("unix:///s") + "username=c\npassword=d\n", ("unix:///s", "c", "d")),
        (UNIX + CLIENT.format("unix:///t"), ("unix:///t", None, None)),
        (
            HTTP.format("*:1") + CLIENT.format("http://127.0.0.1:1"),
            ("http://127.0.0.1:1", "u", "p"),
        ),
        (HTTP.format(1) + CLIENT.format("http://localhost:2"), ("http://localhost:2", None, None)),
        (HTTP.format(1) + CLIENT.format("http://other:1"), ("http://other:1", None, None)),
        (HTTP.format("a:1") + CLIENT.format("http://b:1"), ("http://b:1", None, None)),
        (HTTP.format("a:1") + CLIENT.format("http://a:1"), ("http://a:1", "u", "p")),
        # No address for clients.
        (UNIX + "[supervisorctl]\nprompt=x\n", ("unix:///s", "u", "p")),
        (UNIX + HTTP.format(9001) + "[supervisorctl]\n", ("http://localhost:9001", "u", "p")),
        (HTTP.format("0.0.0.0:1"), ("http://localhost:1", "u", "p")),
        # Servers with names of their own; a socket comes first, and of ports the last one.
        (
            "[unix_http_server:a]\nfile=/s\n[unix_http_server:b]\nfile=/t\n",
            ("unix:///s", None, None),
        ),
        (HTTP.format(1) + "[inet_http_server:b]\nport=2\n", ("http://localhost:2", None, None)),
        # A variable that the daemon's section gives to programs.
        (
            "[unix_http_server]\nfile=%(ENV_RUN)s/s\n[supervisord]\nenvironment=A=1,RUN='/r'\n",
            ("unix:///r/s", None, None),
        ),
    ],
)
def test_where_a_server_listens_and_its_key_are_known_without_a_section_for_clients(
    tmp_path: Path, text: str, found: tuple[str, str | None, str | None]
) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(text)
    assert SupervisordConf(str(path)).endpoint[:3] == found


def test_an_undefined_variable_is_reported_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text("[supervisorctl]\nserverurl=unix://%(ENV_NO_SUCH_THING)s/s\n")
    with pytest.raises(JawsError, match=r"serverurl uses %\(ENV_NO_SUCH_THING\)s") as caught:
        assert SupervisordConf(str(path)).endpoint
    assert "%%" not in str(caught.value)


def test_a_user_may_be_a_name_a_number_or_a_variable(tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    me = pwd.getpwuid(os.geteuid())
    for user in (me.pw_name, str(me.pw_uid), "%(ENV_USER)s"):
        path.write_text(f"[supervisord]\nuser={user}\n")
        assert SupervisordConf(str(path)).user == me.pw_name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"[supervisorctl]\nusername=a\njunk\n", "neither a [section] nor an option: line 3"),
        (b"username=a\n", "line 1 comes before any [section]"),
        (b"\xef\xbb\xbf[supervisorctl]\n", "it begins with a byte order mark"),
        ("[supervisorctl]\n".encode("utf-16"), "it is not UTF-8"),
    ],
)
def test_a_parse_error_says_what_is_wrong_and_where(tmp_path: Path, text: bytes, told: str) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_bytes(text)
    with pytest.raises(JawsError, match=re.escape(f"cannot parse {path}: {told}")):
        SupervisordConf(str(path))


def test_an_endpoint_shows_no_key() -> None:
    where = Endpoint(f"http://u:{KEY}@localhost:1", "u", KEY, "here")
    assert KEY not in repr(where) + f"{where}" + where.address
    assert where.address == "http://localhost:1"


def test_an_option_beats_the_file(tmp_path: Path) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text("[supervisorctl]\nserverurl=http://a:1\nusername=u\npassword=p\n")
    given_ = dict(NO_OPTIONS, config=str(path), server_url="http://b:2", password="q")
    assert endpoint_for(given_)[:4] == ("http://b:2", "u", "q", "server_url")


@pytest.mark.parametrize(
    ("more", "ordered"),
    [
        ("", False),
        ("[program:a]\ncommand=a\n", False),
        ("[program:a]\npriority=1\n", True),
        ("[group:g]\nPriority=1\n", True),
        ("[include]\nfiles=x\n", True),
    ],
)
def test_an_endpoint_knows_whether_its_file_may_set_a_priority(
    tmp_path: Path, more: str, ordered: bool
) -> None:
    path = tmp_path / "supervisord.conf"
    path.write_text(f"[supervisorctl]\n{more}")
    options = dict(NO_OPTIONS, config=str(path))
    assert endpoint_for(options).ordered is ordered
    # A supervisord other than that of the file may have anything.
    assert endpoint_for(dict(options, server_url="http://b:2")).ordered


def test_without_any_file_the_address_is_supervisors_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    if find_config(None) is None:  # a machine may have one in /etc
        assert endpoint_for(NO_OPTIONS)[:3] == ("http://localhost:9001", None, None)


def test_the_file_is_looked_for_beside_supervisorctl_first(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    for path in (tmp_path / "etc" / "supervisord.conf", tmp_path / "supervisord.conf"):
        path.touch()
    assert find_config(str(tmp_path / "bin" / "supervisorctl")) == str(
        tmp_path / "etc" / "supervisord.conf"
    )


def test_the_file_is_looked_for_beside_the_supervisorctl_in_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = tmp_path / "bin" / "supervisorctl"
    command.parent.mkdir()
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    (tmp_path / "supervisord.conf").touch()
    monkeypatch.setenv("PATH", str(command.parent))
    assert find_config(None) == str(tmp_path / "supervisord.conf")


def test_a_supervisorctl_path_that_is_not_a_program_is_refused(tmp_path: Path) -> None:
    options = dict(NO_OPTIONS, supervisorctl_path=str(tmp_path / "none"))
    with pytest.raises(JawsError, match="not executable") as caught:
        endpoint_for(options)
    assert caught.value.reason == "bad_option"


# --- what it answers --------------------------------------------------------------------------


def respond(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


@contextmanager
def a_server(answer: Callable[[bytes], bytes | None]) -> Iterator[tuple[str, list[bytes]]]:
    """Yield the url of a server that always gives this answer, and the requests that it got."""
    requests: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    while request := read_request(connection):
                        requests.append(request)
                        said = answer(request)
                        if said is None:
                            break
                        connection.sendall(said)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}", requests
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while not data.rstrip().endswith(b"</methodCall>"):
        received = connection.recv(65536)
        if not received:
            return b""
        data += received
    return data


def client_for(url: str, timeout: float = 10, key: str | None = KEY) -> Supervisor:
    return Supervisor(Endpoint(url, "jaws", key, "/the/file"), timeout)


def error_of(url: str, timeout: float = 10) -> JawsError:
    with client_for(url, timeout) as client, pytest.raises(JawsError) as caught:
        client.batch([("supervisor.getPID",)])
    assert KEY not in "".join(traceback.format_exception(caught.value))
    return caught.value


def answer_with(body: bytes, status: str = "200 OK") -> JawsError:
    with a_server(lambda _request: respond(body, status)) as (url, _requests):
        return error_of(url)


def xml(value: object) -> bytes:
    return xmlrpc.client.dumps((value,), methodresponse=True).encode()  # type: ignore[arg-type]


def test_a_missing_socket_means_down(tmp_path: Path) -> None:
    error = error_of(f"unix://{tmp_path}/s")
    assert error.reason == "down"
    assert str(error) == (
        f"supervisord at unix://{tmp_path}/s (from /the/file) is down: there is no socket. "
        "Start it, or correct the address."
    )


def test_a_socket_that_nobody_listens_at_means_down(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(tmp_path / "s"))
    error = error_of(f"unix://{tmp_path}/s")
    assert error.reason == "down"
    assert "the socket was left by a supervisord that was killed" in str(error)


def test_a_port_that_nobody_listens_at_means_down() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    error = error_of(f"http://127.0.0.1:{port}")
    assert (error.reason, "socket" in str(error)) == ("down", False)


def test_no_answer_in_time_means_frozen(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as deaf:
        deaf.bind(str(tmp_path / "s"))
        deaf.listen()
        error = error_of(f"unix://{tmp_path}/s", 0.01)
    assert error.reason == "frozen"
    assert "did not answer within" in str(error)


def test_a_full_queue_of_connections_means_frozen(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    with closing(socket.socket(socket.AF_UNIX)) as deaf:
        deaf.bind(path)
        deaf.listen(0)
        waiting: list[socket.socket] = []
        try:
            while len(waiting) < 100:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(path)
        except BlockingIOError:
            pass
        error = error_of(f"unix://{path}", 0.01)
        for connection in waiting:
            connection.close()
    assert error.reason == "frozen"


def test_a_closed_connection_means_that_it_is_on_its_way_down() -> None:
    with a_server(lambda _request: None) as (url, _requests):
        error = error_of(url)
    assert error.reason == "down"
    assert "closed the connection" in str(error)


def test_status_401_means_a_wrong_key() -> None:
    error = answer_with(b"", "401 Unauthorized")
    assert (error.reason, "/the/file" in str(error)) == ("wrong_key", True)


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ((None, None), "wants a user name and a key, which its configuration does not give"),
        (("u", "{SHA}82ab876d1387bfafe46cc1c8a2ef074eae50cb1d"), "because it is a hash"),
        (("u", "p"), "it was started with different ones"),
    ],
)
def test_a_rejected_key_says_what_is_wrong_with_it(
    key: tuple[str | None, str | None], told: str
) -> None:
    error = Supervisor(Endpoint("unix:///s", *key, "/the/file"))._why_rejected()
    assert told in error


def test_any_other_status_is_not_supervisord() -> None:
    error = answer_with(b"not here", "404 Not Found")
    assert (error.reason, "HTTP status 404" in str(error)) == ("unreachable", True)


@pytest.mark.parametrize(
    "url",
    ["", "/run/s", "https://localhost:9001", "http://", "http://localhost:port", "ftp://localhost"],
)
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    assert error_of(url).reason == "unreachable"


def test_an_unknown_host_cannot_be_reached() -> None:
    assert error_of("http://host.invalid:9001").reason == "unreachable"


def test_a_key_in_an_address_is_not_shown() -> None:
    assert error_of(f"http://jaws:{KEY}@host.invalid:9001").reason == "unreachable"


def test_a_path_that_no_socket_can_have_cannot_be_reached() -> None:
    assert error_of("unix:///" + "s" * 200).reason == "unreachable"


@settings(deadline=None, max_examples=100)
@given(body=st.binary(max_size=100) | st.text("</>valueparmstcing0", max_size=60).map(str.encode))
@example(b"")
@example(xml(0))
@example(xml([]))
@example(b"<methodResponse><params></params></methodResponse>")
@example(b"<params><param><value><int>x</int></value></param></params>")
@example(b"<array>")
@example(b"<struct><name>a</name></struct>")
def test_an_answer_that_makes_no_sense_is_not_supervisords(body: bytes) -> None:
    reply = respond(body)
    client = client_for("http://unused")
    client._post = lambda *_: reply.split(b"\r\n\r\n", 1)[1]  # type: ignore[method-assign]
    with pytest.raises(JawsError) as caught:
        client.batch([("supervisor.getPID",)])
    assert caught.value.reason == "unreachable"


def test_a_fault_of_one_call_takes_its_place_among_the_answers() -> None:
    body = xml([7, {"faultCode": 10, "faultString": "BAD_NAME: a"}])
    with a_server(lambda _request: respond(body)) as (url, _), client_for(url) as client:
        first, second = client.batch([("supervisor.getPID",), ("supervisor.stopProcess", "a")])
    assert first == 7
    assert isinstance(second, xmlrpc.client.Fault)
    assert second.faultCode == 10


@pytest.mark.parametrize(
    "body",
    [
        xml([{"faultCode": 6, "faultString": "SHUTDOWN_STATE"}]),
        xmlrpc.client.dumps(xmlrpc.client.Fault(6, "SHUTDOWN_STATE")).encode(),
    ],
)
def test_a_supervisord_that_shuts_down_counts_as_down(body: bytes) -> None:
    error = answer_with(body)
    assert (error.reason, "shutting down" in str(error)) == ("down", True)


def test_no_calls_cost_no_round_trip() -> None:
    client = client_for("unix:///none")
    assert client.batch([]) == []
    assert client.round_trips == 0


def test_many_calls_cost_one_round_trip_over_one_connection() -> None:
    def answer(request: bytes) -> bytes:
        return respond(xml([1] * request.count(b"getPID")))

    with a_server(answer) as (url, requests), client_for(url) as client:
        for number in (1, 40):
            assert client.batch([("supervisor.getPID",)] * number) == [1] * number
        assert client.round_trips == len(requests) == 2


def test_the_client_connects_again_after_an_error() -> None:
    answers = iter([None, respond(xml([1]))])
    with a_server(lambda _request: next(answers)) as (url, _requests), client_for(url) as client:
        with pytest.raises(JawsError):
            client.batch([("supervisor.getPID",)])
        assert client.batch([("supervisor.getPID",)]) == [1]


def test_the_key_goes_into_one_header_and_nowhere_else() -> None:
    with a_server(lambda _request: respond(xml([1]))) as (url, requests), client_for(url) as client:
        client.batch([("supervisor.getPID",)])
    head, body = requests[0].split(b"\r\n\r\n", 1)
    expected = b"Authorization: Basic amF3czphLWtleV8wMTIzNDU2Nzg5"
    assert [line for line in head.split(b"\r\n") if b"Authorization" in line] == [expected]
    assert KEY.encode() not in body


def test_without_a_key_no_header_is_sent() -> None:
    server = a_server(lambda _request: respond(xml([1])))
    with server as (url, requests), client_for(url, key=None) as client:
        client.batch([("supervisor.getPID",)])
    assert b"Authorization" not in requests[0]
