"""The service as systemd sees it: what it may do, and that it works all the same."""

from __future__ import annotations

import re

from tests.system.pi.installed import main_process
from tests.system.virtual_pi.instance import VirtualPi

MOST_EXPOSED = 1.0


def test_the_unit_is_hardened(pi: VirtualPi) -> None:
    said = pi.run("systemd-analyze security --no-pager tartlet.service").stdout
    level = re.search(r"Overall exposure level for tartlet\.service: ([0-9.]+)", said)
    assert level is not None, said
    assert float(level[1]) <= MOST_EXPOSED, said


def test_the_daemon_runs_as_its_own_user_with_the_camera_and_nothing_else(pi: VirtualPi) -> None:
    status = pi.run(f"cat /proc/{main_process(pi)}/status").stdout
    fields = dict(line.split(":", 1) for line in status.splitlines())
    account = pi.run("getent passwd tartlet").stdout.strip().split(":")
    assert account[-1].endswith(("/nologin", "/false"))
    assert fields["Uid"].split() == [account[2]] * 4
    groups = pi.run(f"getent group {' '.join(fields['Groups'].split())}").stdout
    assert {line.split(":")[0] for line in groups.splitlines()} <= {"tartlet", "video"}
    assert int(fields["CapEff"], 16) == int(fields["CapBnd"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"


def test_no_port_is_open_but_that_of_ssh(pi: VirtualPi) -> None:
    lines = pi.run("sudo ss -H -ltnup").stdout.splitlines()
    assert not [line for line in lines if "tartlet" in line or "python" in line]
