#!/usr/bin/env bash
# Install the tartlet daemon on a Raspberry Pi. `setup_pi.sh --help` says how; running it again is safe.
set -euo pipefail

PREFIX=/opt/tartlet
CONFIG=/etc/tartlet/device.toml
STATE=/var/lib/tartlet
UNIT=/etc/systemd/system/tartlet.service
COMMAND=/usr/local/bin/tartlet-device
ACCOUNT=tartlet
ROLLBACK_HINT="nothing else was changed; run this script again once that is mended"

say() { printf '\033[1m%s\033[0m\n' "$*"; }
die() { printf 'setup_pi.sh: %s\n' "$*" >&2; exit 1; }

usage() {
  cat <<'HELP'
Install the tartlet daemon on a Raspberry Pi.

  sudo ./setup_pi.sh                     install or upgrade, from the folders beside this script
  sudo ./setup_pi.sh --wheels FOLDER     the same, from wheels that were built before
  sudo ./setup_pi.sh --uninstall         remove it, keep models and configuration
  sudo ./setup_pi.sh --uninstall --purge remove everything

Options:
  --wheels FOLDER   folder with tartlet_shared-*.whl and tartlet_device-*.whl, and any others
  --offline         use nothing but the wheels in that folder
  --onnx            install ONNX Runtime as well, for ONNX models
  --ssh-user NAME   who connects from the laptop; default: the user who called sudo
  --no-start        do not start the service
  --dry-run         print what would be done, change nothing
  --help            this text

What it does: installs Debian packages (Python's venv, numpy, OpenCV, picamera2); makes a Python
environment under /opt/tartlet that sees Debian's packages and never replaces its numpy; makes the
system user "tartlet" and lets the SSH user talk to the daemon; installs and starts the service.
No network port is opened. It needs Raspberry Pi OS or Debian, Bookworm or Trixie.
HELP
}

# -- decisions, without side effects

# The reason why a system cannot be used; nothing if it can.
# Arguments: distribution, its codename, architecture, Python's minor version.
unsupported_reason() {
  local distribution=$1 codename=$2 architecture=$3 minor=$4
  case $distribution in
    debian | raspbian) ;;
    *) echo "this is '$distribution'; Raspberry Pi OS or Debian is needed"; return ;;
  esac
  case $codename in
    bookworm | trixie) ;;
    *) echo "this is release '$codename'; Bookworm (Python 3.11) or Trixie (3.13) is needed"; return ;;
  esac
  if [ "$minor" -lt 11 ] || [ "$minor" -gt 13 ]; then
    echo "Python 3.$minor is not supported; 3.11 to 3.13 are"
    return
  fi
  case $architecture in
    arm64 | amd64) ;;
    armhf)
      if [ "$minor" -gt 11 ]; then
        echo "no TFLite runtime exists for Python 3.$minor on a 32-bit system; install the 64-bit Raspberry Pi OS"
      fi
      ;;
    *) echo "no TFLite runtime exists for the architecture '$architecture'" ;;
  esac
}

# Which of tartlet-device's extras brings the TFLite runtime. Argument: architecture.
runtime_extra() {
  case $1 in
    armhf) echo tflite ;; # the only one for 32 bits
    *) echo litert ;;
  esac
}

# What to ask pip for. Arguments: architecture, "yes" for ONNX Runtime too.
requirement() {
  local extras
  extras=$(runtime_extra "$1")
  if [ "$2" = yes ]; then extras+=,onnx; fi
  echo "tartlet-device[$extras]"
}

# -- effects; each goes through run, so that --dry-run shows them all

run() {
  if [ "$dry_run" = yes ]; then
    printf 'would run:'
    printf ' %q' "$@"
    printf '\n'
  else
    "$@"
  fi
}

check_system() {
  local reason distribution codename
  [ -r /etc/os-release ] || die "/etc/os-release is missing: this is not Raspberry Pi OS or Debian"
  # shellcheck source=/dev/null
  distribution=$(. /etc/os-release && echo "${ID:-unknown}")
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
  architecture=$(dpkg --print-architecture 2>/dev/null || uname -m)
  command -v /usr/bin/python3 >/dev/null || die "/usr/bin/python3 is missing: apt-get install python3"
  minor=$(/usr/bin/python3 -c 'import sys; print(sys.version_info[1])')
  reason=$(unsupported_reason "$distribution" "$codename" "$architecture" "$minor")
  [ -z "$reason" ] || die "$reason"
  command -v systemctl >/dev/null || die "systemd is missing; the daemon runs as a systemd service"
}

require_root() {
  [ "$dry_run" = yes ] || [ "$(id -u)" -eq 0 ] || die "root is needed: sudo $0 $*"
}

in_archive() {
  apt-cache show "$1" >/dev/null 2>&1
}

install_packages() {
  local packages=(python3-venv python3-numpy python3-opencv)
  # A fresh system knows no packages yet. Debian itself does not have picamera2; without it only USB
  # cameras and footage work.
  in_archive python3-picamera2 || run apt-get update -qq
  if in_archive python3-picamera2; then
    packages+=(python3-picamera2)
  else
    say "python3-picamera2 is not in this system's archive: only USB cameras will work"
  fi
  local missing=()
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  say "Installing Debian packages: ${missing[*]}"
  run apt-get update -qq
  run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
    die "apt-get failed; $ROLLBACK_HINT"
}

make_environment() {
  # An environment of another Python (after a system upgrade), or a broken one, is made anew.
  if [ -x "$PREFIX/bin/python" ] &&
    [ "$("$PREFIX/bin/python" -c 'import sys; print(sys.version_info[1])' 2>/dev/null)" = "$minor" ]; then
    return
  fi
  say "Making the Python environment $PREFIX"
  run rm -rf "$PREFIX"
  # Debian's libcamera and picamera2 are built for Debian's Python and cannot come from pip.
  run /usr/bin/python3 -m venv --system-site-packages "$PREFIX"
}

# Without --wheels, from the source that this script lies in.
build_wheels() {
  if [ -n "$wheels" ]; then return; fi
  local source
  source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
  [ -f "$source/device/pyproject.toml" ] && [ -f "$source/shared/pyproject.toml" ] ||
    die "shared/ and device/ are not beside this script; copy the whole repository, or give --wheels"
  say "Building tartlet from $source"
  wheels=$work/wheels
  run "$PREFIX/bin/python" -m pip --disable-pip-version-check --quiet wheel --no-deps \
    --wheel-dir "$wheels" "$source/shared" "$source/device" || die "pip failed; $ROLLBACK_HINT"
}

install_wheels() {
  local constraints arguments=(install --upgrade --upgrade-strategy only-if-needed)
  constraints=$work/constraints.txt
  # Debian's OpenCV and picamera2 are built against Debian's numpy; another one breaks them.
  if ! /usr/bin/python3 -c 'import numpy; print("numpy==" + numpy.__version__)' >"$constraints" 2>/dev/null; then
    [ "$dry_run" = yes ] || die "Debian's numpy does not load; try: apt-get install --reinstall python3-numpy"
  fi
  arguments+=(--constraint "$constraints")
  if [ -n "$wheels" ]; then arguments+=(--find-links "$wheels"); fi
  if [ "$offline" = yes ]; then arguments+=(--no-index); fi
  say "Installing $(requirement "$architecture" "$onnx") into $PREFIX"
  run "$PREFIX/bin/python" -m pip --disable-pip-version-check --quiet "${arguments[@]}" \
    "$(requirement "$architecture" "$onnx")" || die "pip failed; $ROLLBACK_HINT"
  if [ -n "$wheels" ]; then
    # A wheel that was built again under the same version: pip alone would keep the old one.
    run "$PREFIX/bin/python" -m pip --disable-pip-version-check --quiet install --no-index --no-deps \
      --force-reinstall "$wheels"/tartlet_shared-*.whl "$wheels"/tartlet_device-*.whl ||
      die "pip failed; $ROLLBACK_HINT"
  fi
}

make_accounts() {
  if ! getent passwd "$ACCOUNT" >/dev/null; then
    say "Making the system user $ACCOUNT"
    run adduser --system --quiet --group --home "$STATE" --no-create-home "$ACCOUNT"
  fi
  run usermod --append --groups video "$ACCOUNT"
  if [ -n "$ssh_user" ] && [ "$ssh_user" != root ]; then
    getent passwd "$ssh_user" >/dev/null || die "there is no user '$ssh_user' on this system"
    say "Letting $ssh_user talk to the daemon (from the next login on)"
    run usermod --append --groups "$ACCOUNT" "$ssh_user"
  fi
}

make_folders() {
  run install -d -o "$ACCOUNT" -g "$ACCOUNT" -m 0750 "$STATE"
  # The hardened service may not set the set-gid bit itself.
  run install -d -o "$ACCOUNT" -g "$ACCOUNT" -m 2770 "$STATE/incoming"
  run install -d -m 0755 "$(dirname "$CONFIG")"
  if [ ! -e "$CONFIG" ]; then
    say "Writing $CONFIG"
    if [ "$dry_run" = no ]; then default_config >"$CONFIG"; fi
  fi
}

default_config() {
  cat <<'TOML'
# Configuration of the tartlet daemon; `sudo systemctl restart tartlet` reads it again.
log_level = "info"

[camera]
kind = "picamera"        # a Raspberry Pi's own camera; "v4l2" for a USB camera
width = 1280
height = 720
TOML
}

start_service() {
  # Where an SSH command finds it: the laptop may run `tartlet-device bridge`.
  run ln -sfn "$PREFIX/bin/tartlet-device" "$COMMAND"
  run install -m 0644 "$PREFIX/share/tartlet/tartlet.service" "$UNIT"
  run systemctl daemon-reload
  run systemctl enable --quiet tartlet
  if [ "$start" = no ]; then return; fi
  say "Starting the service"
  run systemctl restart tartlet || die "it does not start; see: journalctl -u tartlet -n 30"
  # Findings are for the person to read; a camera that is not plugged in is no failed installation.
  run "$PREFIX/bin/tartlet-device" doctor || true
}

uninstall() {
  run systemctl disable --quiet --now tartlet 2>/dev/null || true
  run rm -f "$UNIT" "$COMMAND"
  run systemctl daemon-reload
  run rm -rf "$PREFIX"
  if [ "$purge" = yes ]; then
    run rm -rf "$STATE" "$(dirname "$CONFIG")"
    if getent passwd "$ACCOUNT" >/dev/null; then run deluser --quiet --system "$ACCOUNT"; fi
    if getent group "$ACCOUNT" >/dev/null; then run delgroup --quiet "$ACCOUNT"; fi
    say "tartlet is removed, with its models and configuration"
  else
    say "tartlet is removed; models stay in $STATE, the configuration in $(dirname "$CONFIG")"
  fi
}

parse() {
  wheels='' offline=no onnx=no ssh_user=${SUDO_USER:-} start=yes dry_run=no action=install purge=no
  while [ $# -gt 0 ]; do
    case $1 in
      --wheels) [ $# -ge 2 ] || die "--wheels needs a folder"; wheels=$2; shift ;;
      --ssh-user) [ $# -ge 2 ] || die "--ssh-user needs a name"; ssh_user=$2; shift ;;
      --offline) offline=yes ;;
      --onnx) onnx=yes ;;
      --no-start) start=no ;;
      --dry-run) dry_run=yes ;;
      --uninstall) action=uninstall ;;
      --purge) purge=yes ;;
      -h | --help) usage; exit 0 ;;
      *) die "unknown option '$1'; --help lists them all" ;;
    esac
    shift
  done
  if [ -n "$wheels" ]; then
    for distribution in tartlet_shared tartlet_device; do
      compgen -G "$wheels/$distribution-*.whl" >/dev/null || die "there is no $distribution-*.whl in '$wheels'"
    done
  fi
  if [ "$offline" = yes ] && [ -z "$wheels" ]; then die "--offline needs --wheels"; fi
  if [ "$purge" = yes ] && [ "$action" = install ]; then die "--purge goes with --uninstall"; fi
}

main() {
  parse "$@"
  require_root "$@"
  if [ "$action" = uninstall ]; then
    uninstall
    return
  fi
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  check_system
  install_packages
  make_environment
  build_wheels
  install_wheels
  make_accounts
  make_folders
  start_service
  say "Done. From the laptop: tartlet device add NAME ${ssh_user:-USER}@$(hostname)"
}

# Sourced by tests, which call the functions above.
if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  main "$@"
fi
