#!/usr/bin/env bash
# Prepare this checkout: system packages, then .venv with everything that make demo and make test need.
# Does nothing when the recipe did not change. Needs root only for missing system packages; without
# root it prints the one line to run.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf 'prepare: %s\n' "$*" >&2; exit 1; }

find_python() {
  for candidate in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "Python 3.11, 3.12 or 3.13 is needed; found $(python3 --version 2>&1). Set PYTHON=/path/to/python3.11"
}

missing_packages() { # prints the Debian packages that are not there yet
  "$1" -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv
  [ -x /usr/sbin/sshd ] || command -v sshd >/dev/null || echo openssh-server
  [ -x /usr/sbin/mosquitto ] || command -v mosquitto >/dev/null || echo mosquitto
  # For some tests; without them these are skipped. Ubuntu's chromium is no package of its own.
  if [ "$(id -u)" -eq 0 ] && grep -qsE '^ID=(debian|raspbian)$' /etc/os-release; then
    command -v chromium >/dev/null || echo chromium
    command -v faketime >/dev/null || echo faketime
    command -v strace >/dev/null || echo strace
  fi
  # For the tests on a virtual Raspberry Pi, which need root; without it they are skipped.
  [ "$(id -u)-$(uname -m)" = 0-x86_64 ] || return 0
  "$1" tests/system/virtual_pi/needs.py
}

install_packages() {
  local line="apt-get install -y --no-install-recommends $*"
  if ! command -v apt-get >/dev/null; then
    die "these Debian packages are missing and there is no apt here: $*. See 'Other systems' in README.md"
  elif [ "$(id -u)" -ne 0 ]; then
    die "these system packages are missing. Run this once, then the same command again:
    sudo $line"
  fi
  say "Installing system packages: $*"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive $line -qq >/dev/null
}

python=$(find_python)
# Two at once would install over each other: the second waits, and then finds it done.
exec 9<.
! command -v flock >/dev/null || flock 9
# shellcheck disable=SC2046 # one word per package
set -- $(missing_packages "$python")
[ $# -eq 0 ] || install_packages "$@"

recipe=$(cat constraints.txt pyproject.toml {shared,device,host}/pyproject.toml "$0" | sha256sum | cut -c1-16)
stamp=".venv/.prepared-$recipe-$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
[ ! -e "$stamp" ] || exit 0

say "Preparing .venv (a few minutes the first time, about 2 GB on disk)"
rm -f .venv/.prepared-*
[ -x .venv/bin/python ] || "$python" -m venv .venv
pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
pip install --quiet --upgrade 'pip>=25.1'
# torch alone and by its exact pin first: a wider range would pull another, much larger build.
pip install --quiet torch==2.13.0
pip install --quiet --constraint constraints.txt --group dev
pip install --quiet --constraint constraints.txt --no-build-isolation \
  --editable shared --editable 'device[litert,video,mqtt,metrics]' --editable host
pip check
touch "$stamp"
say "Ready"
