from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tartlet_device.outputs import credentials, retry
from tartlet_device.outputs import settings as outputs_settings
from tartlet_device.outputs.settings import OutputsSettings, SecretPlace
from tartlet_shared import errors

DOCS = Path(__file__).parents[3] / "docs/outputs.md"


def load(text: str) -> OutputsSettings:
    return msgspec.toml.decode(text, type=OutputsSettings)


def test_nothing_is_on_by_default():
    assert load("") == OutputsSettings(json_lines=None, mqtt=None, webhooks=(), metrics=None)


def test_the_example_of_the_docs_can_be_read():
    (example,) = re.findall(r"```toml\n(.*?)```", DOCS.read_text(), re.DOTALL)
    read = msgspec.toml.decode(example, type=dict[str, OutputsSettings])["outputs"]
    assert read.mqtt is not None
    assert read.mqtt.broker_port == 1883
    assert read.webhooks[0].name == "alarm"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[mqtt]", "host"),
        ("[mqtt]\nhost = 'h'\nprot = 1", "prot"),
        ("[mqtt]\nhost = 'h'\npassword = 'hunter2'", r"\$\.mqtt\.password"),
        ("[mqtt]\nhost = 'h'\npassword = { file = '/x' }", "username"),
        ("[mqtt]\nhost = 'h'\nprefix = 'a/#'", "prefix"),
        ("[mqtt]\nhost = 'h'\nevent_qos = 0", "event_qos"),
        ("[mqtt]\nhost = 'h'\ndevice = 'a/b'", "device"),
        ("[mqtt]\nhost = 'h'\n[mqtt.tls]\ncertificate_file = '/c'", "key"),
        ("[mqtt]\nhost = 'h'\nusername = 'u'\npassword = { credential = '../x' }", "credential"),
        ("[mqtt]\nhost = 'h'\nusername = 'u'\npassword = { file = 'x' }", "absolute"),
        ("[mqtt]\nhost = 'h'\nusername = 'u'\npassword = {}", "credential or file"),
        ("[[webhooks]]", "url"),
        ("[[webhooks]]\nurl = 'ftp://x'", "http"),
        ("[[webhooks]]\nurl = 'http://u:p@x/'", "password"),
        ("[[webhooks]]\nurl = 'http://x:99999/'", "url"),
        ("[[webhooks]]\nurl = 'http://x/a b'", "ASCII"),
        ("[[webhooks]]\nurl = 'http://x'\n[[webhooks]]\nurl = 'http://y'", "different names"),
        ("[metrics]", "port, textfile"),
        ("[metrics]\ntextfile = '/a/b.txt'", "textfile"),
        ("[json_lines]\nfile_mb = 8\ntotal_mb = 9", "total_mb"),
    ],
)
def test_what_is_wrong_is_named(text, named):
    with pytest.raises(msgspec.ValidationError, match=named) as caught:
        load(text)
    assert "u:p" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_every_key_is_in_the_docs():
    docs = DOCS.read_text()
    structs = [
        each
        for each in vars(outputs_settings).values()
        if isinstance(each, type) and issubclass(each, msgspec.Struct)
    ]
    keys = {
        key for each in structs if each is not OutputsSettings for key in each.__struct_fields__
    }
    assert {key for key in keys if f"`{key}`" not in docs and f".{key}]" not in docs} == set()
    for section in OutputsSettings.__struct_fields__:
        assert f"[outputs.{section}]" in docs


class TestSecrets:
    @pytest.fixture
    def file(self, tmp_path):
        path = tmp_path / "secret"
        path.write_text("pass word\n")
        path.chmod(0o600)
        return path

    def test_one_end_of_line_is_left_out(self, file):
        assert credentials.read(SecretPlace(file=str(file)), "k").reveal() == "pass word"

    def test_it_does_not_show_itself(self, file):
        secret = credentials.read(SecretPlace(file=str(file)), "k")
        assert "pass" not in f"{secret} {secret!r} {[secret]} {vars(type(secret))}"

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o700])
    def test_a_file_that_others_may_use_is_refused(self, file, mode):
        file.chmod(mode)
        with pytest.raises(errors.ConfigError, match=f"mode {mode:04o}") as caught:
            credentials.read(SecretPlace(file=str(file)), "outputs.mqtt.password")
        assert caught.value.where == "outputs.mqtt.password"
        assert "chmod 600" in caught.value.hint

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_a_file_of_another_user_is_refused(self, file):
        os.chown(file, 12345, -1)
        with pytest.raises(errors.ConfigError, match="another user"):
            credentials.read(SecretPlace(file=str(file)), "k")

    @pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"a\0b", b"x" * 70_000])
    def test_what_is_no_secret_is_refused(self, file, content):
        file.write_bytes(content)
        with pytest.raises(errors.ConfigError):
            credentials.read(SecretPlace(file=str(file)), "k")

    def test_a_folder_or_pipe_is_refused(self, tmp_path):
        os.mkfifo(tmp_path / "pipe", 0o600)
        for path in (tmp_path, tmp_path / "pipe"):
            with pytest.raises(errors.ConfigError, match="not a regular file"):
                credentials.read(SecretPlace(file=str(path)), "k")

    def test_systemd_credentials(self, file):
        environment = {"CREDENTIALS_DIRECTORY": str(file.parent)}
        file.chmod(0o440)  # the mask of systemd's ACL looks like this
        place = SecretPlace(credential="secret")
        assert credentials.read(place, "k", environment).reveal() == "pass word"
        with pytest.raises(errors.ConfigError, match="cannot be read"):
            credentials.read(SecretPlace(credential="other"), "k", environment)
        with pytest.raises(errors.ConfigError, match="no systemd credential") as caught:
            credentials.read(place, "k", {})
        assert "LoadCredential=secret:" in caught.value.hint


@given(failures=st.integers(1, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_back_off_grows_to_its_limit(failures, chance):
    wait = retry.back_off_s(failures, 1.0, 60.0, lambda: chance)
    whole = min(60.0, 2.0 ** min(failures - 1, 60))
    assert whole / 2 <= wait <= whole


@pytest.mark.parametrize(
    ("value", "date", "expected"),
    [
        (None, None, None),
        ("120", None, 120.0),
        (" 7 ", None, 7.0),
        ("99999999999", None, 3600.0),
        ("-5", None, None),
        ("soon", None, None),
        ("Wed, 21 Oct 2015 07:28:30 GMT", "Wed, 21 Oct 2015 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", None, 10.0),  # by the clock, which says 07:28:20
        ("Wed, 21 Oct 2015 07:28:30 GMT", "nonsense", 10.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:30 GMT", 0.0),
        ("Wed, 21 Oct 2037 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:30 GMT", 3600.0),
    ],
)
def test_retry_after(value, date, expected):
    assert retry.retry_after_s(value, date=date, now_s=1445412500.0) == expected


@given(value=st.text(max_size=40), date=st.text(max_size=40))
def test_no_header_is_an_error(value, date):
    found = retry.retry_after_s(value, date=date, now_s=0.0)
    assert found is None or 0 <= found <= 3600
