from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import threading
from collections.abc import Callable

import pytest

from tartlet_device.outputs.settings import SecretPlace, WebhookSettings
from tartlet_device.outputs.webhook import Webhook, signature
from tartlet_shared import errors

OK = (204, {})


class Receiver:
    """A real HTTP server that answers as its script says, then 204."""

    def __init__(self, *script: object) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.script = list(script)
        self.release = threading.Event()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.requests.append((dict(self.headers), body))
                answer = receiver.script.pop(0) if receiver.script else OK
                if callable(answer):
                    answer(self)
                    return
                status, headers = answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: object) -> None: ...

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook/secret-path"
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.requests]

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(20)


@pytest.fixture
def receive():
    made = []

    def receive(*script: object) -> Receiver:
        made.append(Receiver(*script))
        return made[-1]

    yield receive
    for receiver in made:
        receiver.close()


@pytest.fixture
def hook(tmp_path, closing) -> Callable[..., Webhook]:
    def hook(url: str | None, **keys: object) -> Webhook:
        fast = {"retry_first_s": 0.01, "retry_longest_s": 0.02, "timeout_s": 20.0}
        settings = WebhookSettings(url=url, **(fast | keys))
        return closing(Webhook(settings, device="pi", queue=tmp_path / "queue.sqlite"))

    return hook


def hang(handler) -> None:
    """Answers nothing until the test ends."""
    threading.Event().wait(0.5)
    handler.close_connection = True


def drip(handler) -> None:
    """Answers a byte at a time: no single read times out."""
    handler.close_connection = True
    try:
        while True:
            handler.wfile.write(b"H")
            handler.wfile.flush()
            if threading.Event().wait(0.02):
                break
    except OSError:
        pass


def garbage(handler) -> None:
    handler.wfile.write(b"this is not HTTP\r\n\r\n")
    handler.close_connection = True


def test_an_event_is_posted_once(receive, hook, items, until):
    receiver = receive()
    output = hook(receiver.url)
    output.publish(items.observed(1, "person"))
    output.publish(items.began(1))
    output.publish(items.ended(1))
    until(lambda: output.health().delivered == 2)
    assert receiver.ids() == ["0000000000001-began", "0000000000001-ended"]
    headers, body = receiver.requests[0]
    assert headers["Content-Type"] == "application/json"
    assert "webhook-signature" not in headers
    assert json.loads(body)["rule"] == "door"
    until(lambda: output.health().queued == 0)
    assert output.health().connected


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}),
        (503, {"Retry-After": "0"}),
        (404, {}),
        (401, {}),
        (429, {"Retry-After": "nonsense"}),
        (302, {"Location": "http://127.0.0.1:1/elsewhere"}),
        garbage,
        hang,
    ],
)
def test_a_failure_is_tried_again_with_the_same_id_and_in_order(
    receive, hook, items, until, answer
):
    receiver = receive(answer, answer, answer)
    output = hook(receiver.url)
    output.publish(items.began(1))
    output.publish(items.began(2))
    until(lambda: output.health().delivered == 2)
    assert receiver.ids() == ["0000000000001-began"] * 4 + ["0000000000002-began"]
    assert len({body for _, body in receiver.requests[:4]}) == 1
    assert output.health().last_error == ""


def test_a_receiver_that_drips_is_given_up(receive, hook, items, until):
    receiver = receive(drip)
    output = hook(receiver.url, timeout_s=0.3)
    output.publish(items.began(1))
    until(lambda: "no answer within 0.3 s" in output.health().last_error or len(receiver.ids()) > 1)
    until(lambda: output.health().delivered == 1)


def test_retry_after_is_honoured(receive, hook, items, until, monkeypatch):
    receiver = receive((503, {"Retry-After": "1234"}))
    output = hook(receiver.url)
    waits: list[float] = []
    wait = output._stopping.wait
    monkeypatch.setattr(
        output._stopping, "wait", lambda seconds: waits.append(seconds) or wait(0.001)
    )
    output.publish(items.began(1))
    until(lambda: output.health().delivered == 1)
    assert waits[0] == 1234


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_event_that_the_receiver_does_not_want_blocks_no_other(
    receive, hook, items, until, status
):
    receiver = receive((status, {}))
    output = hook(receiver.url)
    output.publish(items.began(1))
    output.publish(items.began(2))
    until(lambda: output.health().delivered == 1)
    assert receiver.ids() == ["0000000000001-began", "0000000000002-began"]
    assert output.health().dropped_events == 1


def test_signed_as_standard_webhooks_says(receive, hook, items, until, tmp_path):
    secret = tmp_path / "secret"
    key = b"0123456789abcdef"
    secret.write_text(f"whsec_{base64.b64encode(key).decode()}\n")
    secret.chmod(0o600)
    receiver = receive()
    output = hook(receiver.url, signing_secret=SecretPlace(file=str(secret)))
    output.publish(items.began(1))
    until(lambda: output.health().delivered == 1)
    headers, body = receiver.requests[0]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_the_example_of_the_standard():
    # From the tests of the standard's reference libraries.
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_events_outlive_the_process(receive, hook, items, until, port):
    first = hook(f"http://127.0.0.1:{port()}/")
    first.publish(items.began(1))
    until(lambda: "refused" in first.health().last_error)
    assert first.health().connected is False
    first.stop(20)
    receiver = receive()
    second = hook(receiver.url)
    until(lambda: second.health().delivered == 1)
    assert receiver.ids() == ["0000000000001-began"]


def test_stop_breaks_off_a_request(receive, hook, items, until):
    held = threading.Event()
    receiver = receive(lambda handler: held.wait(60))
    output = hook(receiver.url, timeout_s=60.0)
    output.publish(items.began(1))
    until(lambda: receiver.requests)
    output.stop(20)
    assert not output._thread.is_alive()
    held.set()


def test_a_secret_address_is_not_shown(receive, hook, items, until, tmp_path, caplog):
    address = tmp_path / "address"
    receiver = receive(*[(500, {})] * 3)
    address.write_text(receiver.url)
    address.chmod(0o600)
    output = hook(None, url_secret=SecretPlace(file=str(address)))
    output.publish(items.began(1))
    until(lambda: "500" in output.health().last_error or output.health().delivered)
    until(lambda: output.health().delivered == 1)
    assert "secret-path" not in caplog.text + repr(output.health())
    assert "answered 500" in caplog.text


def test_a_wrong_secret_address_says_so_without_showing_it(hook, tmp_path):
    address = tmp_path / "address"
    address.write_text("ftp://hidden")
    address.chmod(0o600)
    with pytest.raises(errors.ConfigError, match="must begin with http") as caught:
        hook(None, url_secret=SecretPlace(file=str(address)))
    assert "hidden" not in str(caught.value)


def test_https_to_a_receiver_that_is_trusted_and_to_one_that_is_not(
    receive, hook, items, until, certificates
):
    receiver = receive()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)
    receiver.server.socket = context.wrap_socket(receiver.server.socket, server_side=True)
    url = receiver.url.replace("http://", "https://")
    wary = hook(url, ca_file=certificates.stranger)
    wary.publish(items.began(1))
    until(lambda: "certificate is not trusted" in wary.health().last_error)
    assert receiver.requests == []
    wary.stop(20)
    output = hook(url, ca_file=certificates.authority)
    until(lambda: output.health().delivered == 1)
    assert receiver.ids() == ["0000000000001-began"]
