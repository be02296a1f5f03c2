"""A Raspberry Pi as `setup_pi.sh --facts` describes one."""

from __future__ import annotations

from tartlet_host.remote.facts import Facts

PI = Facts(
    hostname="raspberrypi",
    distribution="debian",
    codename="trixie",
    architecture="arm64",
    machine="aarch64",
    bits=64,
    python=(3, 13),
    glibc=(2, 41),
    numpy="2.2.4",
    free_mb=20000,
    root=False,
    sudo=True,
    installed="",
    version="",
    active=False,
    network=False,
    refusal="",
)
