#!/usr/bin/env bash
# Install the tartlet daemon on a Raspberry Pi. `setup_pi.sh --help` says how; running it again is safe,
# also after it was interrupted.
set -euo pipefail
export LC_ALL=C

PREFIX=/opt/tartlet # a link to the environment that serves, /opt/tartlet-XXXXXXXX
STAMP=share/tartlet/installed # in an environment: what it was made from; written last
CONFIG=/etc/tartlet/device.toml
STATE=/var/lib/tartlet
UNIT=/etc/systemd/system/tartlet.service
NETWORK=/etc/systemd/system/tartlet.service.d/50-network.conf
RULES=/etc/udev/rules.d/60-tartlet.rules
COMMAND=/usr/local/bin/tartlet-device
ACCOUNT=tartlet
WORK=/run/tartlet-setup
PENDING=/run/tartlet-restart-needed # gone after a reboot, which is a restart too
NEEDED_MB=500
UNTOUCHED="what served before still serves; run this script again once that is mended"

changes=()
say() { printf '%s\n' "$*"; }
changed() {
  if [ "$dry_run" = yes ]; then return; fi
  changes+=("$*")
  say "$*"
}
die() { printf 'setup_pi.sh: %s\n' "$*" >&2; exit 1; }

usage() {
  cat <<'HELP'
Install the tartlet daemon on a Raspberry Pi.

  sudo ./setup_pi.sh                     install or upgrade, from the folders beside this script
  sudo ./setup_pi.sh --wheels FOLDER     the same, from wheels that were built before
  sudo ./setup_pi.sh --uninstall         remove all of it, models and configuration too

Options:
  --wheels FOLDER   folder with tartlet_shared-*.whl and tartlet_device-*.whl, and any others
  --offline         use nothing but the wheels in that folder (Debian packages come from apt)
  --runtime NAME    litert or tflite; default: the one that fits this system
  --onnx            install ONNX Runtime as well, for ONNX models
  --network         let the daemon reach the network, for MQTT, webhooks and programs on the Pi
  --no-network      keep it from the network again, as it is at first
  --ssh-user NAME   who connects from the laptop; default: the user who called sudo
  --force           make the Python environment anew, even if nothing changed
  --no-start        do not start the service
  --keep-models     with --uninstall: keep models, configuration and the user account
  --dry-run         print what would be done, change nothing
  --facts           print what matters about this system as key=value lines, change nothing
  --help            this text

What it does: installs Debian packages (Python's venv, numpy, picamera2); makes a Python environment
at /opt/tartlet that sees Debian's packages and never replaces its numpy; makes the system user
"tartlet", who may use cameras, and lets the SSH user talk to the daemon; installs and starts the
service. An upgrade is made aside: the old version serves until the new one is complete, and again if
the new one does not start. No port is opened to others, with --network neither. It needs Raspberry Pi
OS or Debian, Bookworm or Trixie.
HELP
}

# -- what the system is; without side effects

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

look_at_system() {
  [ -r /etc/os-release ] || die "/etc/os-release is missing: this is not Raspberry Pi OS or Debian"
  # shellcheck source=/dev/null
  distribution=$(. /etc/os-release && echo "${ID:-unknown}")
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-unknown}")
  architecture=$(dpkg --print-architecture 2>/dev/null || uname -m)
  # By its file name: python3 is a link to python3.13.
  minor=$(readlink -f /usr/bin/python3 | sed -n 's/.*python3\.\([0-9]*\)$/\1/p')
  free_mb=$(df -Pm /opt 2>/dev/null | awk 'NR == 2 { print $4 }')
}

# The reason why this system cannot be used; nothing if it can.
refusal() {
  if [ -z "$minor" ]; then
    echo "/usr/bin/python3 is missing: apt-get install python3"
  elif [ ! -d /run/systemd/system ]; then
    echo "systemd does not run here; the daemon is a systemd service"
  else
    unsupported_reason "$distribution" "$codename" "$architecture" "$minor"
  fi
}

is_installed() {
  dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

# The upstream part of a package's version, installed or to be had: "2.2.4" of "1:2.2.4+ds-1".
upstream_version() {
  local version
  version=$(dpkg-query -W -f '${Version}' "$1" 2>/dev/null || true)
  [ -n "$version" ] || version=$(apt-cache policy "$1" 2>/dev/null | sed -n 's/^ *Candidate: //p')
  printf '%s' "$version" | sed 's/^[0-9]*://; s/[-+~].*//'
}

# A value from the stamp of an environment; nothing if it has none. Arguments: environment, key.
stamped() {
  sed -n "s/^$2=//p" "$1/$STAMP" 2>/dev/null || true
}

facts() {
  cat <<FACTS
distribution=$distribution
codename=$codename
machine=$(uname -m)
architecture=$architecture
bits=$(getconf LONG_BIT)
python=3.$minor
glibc=$(getconf GNU_LIBC_VERSION | sed 's/.* //')
numpy=$(upstream_version python3-numpy)
free_mb=$free_mb
hostname=$(uname -n)
root=$([ "$(id -u)" -eq 0 ] && echo yes || echo no)
sudo=$(sudo -n true 2>/dev/null && echo yes || echo no)
installed=$(stamped "$PREFIX" fingerprint)
version=$(stamped "$PREFIX" version)
active=$(systemctl is-active tartlet 2>/dev/null || true)
pending=$([ -e "$PENDING" ] && echo yes || echo no)
network=$([ -e "$NETWORK" ] && echo yes || echo no)
refusal=$(refusal)
FACTS
}

# What an installation is made from. The laptop computes the same for wheels: where it is equal, there
# is nothing to do. Argument: this script.
fingerprint() {
  {
    sha256sum <"$1"
    if [ -n "$wheels" ]; then
      (cd "$wheels" && sha256sum -- *.whl)
    else
      (cd "$source" && find shared device -name __pycache__ -prune -o -type f -print0 | sort -z | xargs -0 sha256sum)
    fi
    echo "python=3.$minor runtime=$wanted_runtime onnx=$onnx"
  } | sha256sum | cut -c 1-32
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
  local reason
  look_at_system
  reason=$(refusal)
  [ -z "$reason" ] || die "$reason"
}

need_space() {
  [ "$free_mb" -ge "$NEEDED_MB" ] ||
    die "only $free_mb MB are free on /opt, $NEEDED_MB are needed; \`sudo apt-get clean\` frees some"
}

# One at a time. Whatever a killed run left running (apt, pip) holds the lock too, until it ends.
lock() {
  if [ "$dry_run" = yes ]; then
    WORK=$(mktemp -d)
    trap 'rm -rf "$WORK"' EXIT
    return
  fi
  [ "$(id -u)" -eq 0 ] || die "root is needed: sudo $0 $*"
  exec 9>/run/tartlet-setup.lock
  if ! flock --nonblock 9; then
    say "Waiting for another run of setup_pi.sh, or what it left running, to end"
    flock --timeout 900 9 || die "another run of setup_pi.sh does not end"
  fi
  rm -rf "$WORK"
  install -d -m 0700 "$WORK"
  trap 'rm -rf "$WORK"' EXIT
}

# Write standard input to a file, all or nothing, unless it has that content.
put_file() {
  cat >"$WORK/new"
  if cmp -s "$WORK/new" "$1"; then return 1; fi
  run install -D -m 0644 "$WORK/new" "$1.tartlet-new"
  run mv "$1.tartlet-new" "$1"
  changed "Wrote $1"
}

apt() {
  run env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" </dev/null
}

in_archive() {
  [ -n "$(apt-cache policy "$1" 2>/dev/null | sed -n '/Candidate: [^(]/p')" ]
}

install_packages() {
  local packages=(python3-venv python3-numpy python3-cryptography python3-picamera2) missing=() package
  # Elsewhere the wheel: the laptop's version of OpenCV scales pictures as the laptop does.
  if [ "$architecture" = armhf ]; then packages+=(python3-opencv); fi
  if [ -n "$(dpkg --audit 2>/dev/null)" ]; then
    say "Finishing an installation of packages that was interrupted"
    run env DEBIAN_FRONTEND=noninteractive dpkg --configure -a
  fi
  for package in "${packages[@]}"; do
    is_installed "$package" || missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then return; fi
  need_space
  # A fresh system knows no packages yet, one not used for months knows old ones.
  apt update || say "apt-get update failed; going on with the packages that this system knows of"
  packages=()
  for package in "${missing[@]}"; do
    if in_archive "$package" || [ "$package" != python3-picamera2 ]; then
      packages+=("$package")
    else
      # Debian itself has none.
      say "python3-picamera2 is not in this system's archive: only USB cameras will work"
    fi
  done
  if [ ${#packages[@]} -eq 0 ]; then return; fi
  say "Installing Debian packages: ${packages[*]}"
  apt install -y --no-install-recommends "${packages[@]}" 2>&1 | tee "$WORK/apt.log" |
    sed -un 's/^Setting up \([^ ]*\).*/  \1/p; /^would run/p' ||
    die "apt-get failed: $(tail -n 3 "$WORK/apt.log"); $UNTOUCHED"
  changed "Installed Debian packages: ${packages[*]}"
  new_packages+=("${packages[@]}")
}

# Without --wheels, from the source that this script lies in.
find_source() {
  source=''
  if [ -n "$wheels" ]; then return; fi
  source=$(cd "$(dirname "$script")" && pwd)
  [ -f "$source/device/pyproject.toml" ] && [ -f "$source/shared/pyproject.toml" ] ||
    die "shared/ and device/ are not beside this script; copy the whole repository, or give --wheels"
}

# Paths of our two distributions, for pip and for Python.
distributions() {
  if [ -n "$wheels" ]; then
    echo "$wheels"/tartlet_shared-*.whl "$wheels"/tartlet_device-*.whl
  else
    echo "$source/shared" "$source/device"
  fi
}

# The system's own pip, for an environment without one. Unpacked, it starts in half the time.
# Arguments: environment, pip's.
pip() {
  local environment=$1 wheel
  shift
  if [ ! -d "$WORK/pip" ]; then
    wheel=$(compgen -G '/usr/share/python-wheels/pip-*.whl') || die "python3-venv brought no pip"
    /usr/bin/python3 -m zipfile -e "$wheel" "$WORK/pip"
  fi
  PYTHONPATH=$WORK/pip "$environment/bin/python" -m pip \
    --disable-pip-version-check --no-input --quiet "$@" </dev/null
}

# Sets runtime. Argument: the wanted one, empty for the best.
choose_runtime() {
  local answer path
  path=$(distributions)
  answer=$(PYTHONPATH=${path// /:} /usr/bin/python3 -B -m tartlet_device.runtime_choice \
    ${1:+"$1"} 2>"$WORK/reason") ||
    die "$(cat "$WORK/reason")"
  runtime=${answer%%$'\t'*}
  say "Runtime $runtime: ${answer#*$'\t'}"
}

# Whether the environment that serves is complete, was made from the same, and works.
is_current() {
  [ "$force" = no ] && [ "$(stamped "$PREFIX" fingerprint)" = "$1" ] &&
    "$PREFIX/bin/python" -P -c 'import numpy, cv2, tartlet_device' 2>/dev/null
}

# A complete new environment, not used yet. Sets environment; fails if the runtime does not load.
make_environment() {
  local numpy extras=$runtime,mqtt,metrics module=ai_edge_litert.interpreter ours
  [ "$runtime" = litert ] || module=tflite_runtime.interpreter
  [ "$architecture" = armhf ] || extras+=,opencv
  [ "$onnx" = no ] || extras+=,onnx
  environment=$PREFIX-XXXXXXXX
  if [ "$dry_run" = no ]; then
    environment=$(mktemp -d "$environment") || die "no folder can be made beside $PREFIX"
    chmod 0755 "$environment"
  fi
  # Debian's libcamera and picamera2 are built for Debian's Python and cannot come from pip.
  run /usr/bin/python3 -m venv --system-site-packages --without-pip "$environment" ||
    die "Python makes no environment; $UNTOUCHED"
  # What is built against Debian's numpy breaks with another one.
  numpy=$(/usr/bin/python3 -c 'import numpy; print(numpy.__version__)' 2>/dev/null) ||
    [ "$dry_run" = yes ] ||
    die "Debian's numpy does not load; try: apt-get install --reinstall python3-numpy"
  echo "numpy==$numpy" >"$WORK/constraints"
  local arguments=(install --no-compile --constraint "$WORK/constraints")
  [ -z "$wheels" ] || arguments+=(--find-links "$wheels")
  [ "$offline" = no ] || arguments+=(--no-index)
  read -ra ours <<<"$(distributions)"
  say "Installing tartlet with $extras into $environment"
  run pip "$environment" "${arguments[@]}" "${ours[0]}" "${ours[1]}[$extras]" ||
    die "pip failed; $UNTOUCHED"
  if [ "$dry_run" = yes ]; then return; fi
  # In a child: some builds crash on some processors.
  "$environment/bin/python" -P -c "import $module" 2>"$WORK/reason" || return
  case $("$environment/bin/python" -P -c 'import numpy; print(numpy.__file__)') in
    /usr/lib/python3/*) ;;
    *) die "pip replaced Debian's numpy in the environment; $UNTOUCHED" ;;
  esac
  # The service may not write there, and would compile at each start. Libraries are compiled as far
  # as they are used, which is a tenth of them.
  "$environment/bin/python" -m compileall -q "$environment"/lib/python*/site-packages/tartlet_* \
    >/dev/null || true
  local library
  for library in cv2 msgspec onnxruntime; do
    "$environment/bin/python" -P -c "import $library" 2>/dev/null || true
  done
}

install_environment() {
  local mark
  mark=$(fingerprint "$script")
  if [ "$dry_run" = no ] && is_current "$mark"; then
    environment=$(readlink -f "$PREFIX")
    return
  fi
  need_space
  choose_runtime "$wanted_runtime"
  if ! make_environment; then
    local reason
    reason=$(tail -n 1 "$WORK/reason")
    [ "$runtime" = litert ] && [ -z "$wanted_runtime" ] ||
      die "the runtime $runtime does not load: ${reason:-it crashes}; $UNTOUCHED"
    if [ "$offline" = yes ] && ! compgen -G "$wheels/tflite_runtime-*.whl" >/dev/null; then
      die "the runtime litert does not load here (${reason:-it crashes}), and $wheels has no tflite_runtime wheel; $UNTOUCHED"
    fi
    say "The runtime litert does not load here (${reason:-it crashes}): trying tflite"
    rm -rf "$environment"
    choose_runtime tflite
    make_environment || die "neither litert nor tflite loads; $UNTOUCHED"
  fi
  if [ "$dry_run" = yes ]; then return; fi
  local packages
  read -ra packages <<<"$(stamped "$PREFIX" packages) ${new_packages[*]}"
  {
    echo "fingerprint=$mark"
    echo "runtime=$runtime"
    echo "packages=${packages[*]}"
    describe "$environment"
  } >"$environment/$STAMP.new"
  sync -f "$environment"
  mv "$environment/$STAMP.new" "$environment/$STAMP"
  changed "Made the Python environment $environment"
}

# What is in an environment, for the stamp and for people.
describe() {
  "$1/bin/python" - <<'PYTHON'
import importlib.metadata as metadata
import platform

def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""

print("version=" + version("tartlet-device"))
names = ("numpy", "opencv-python-headless", "ai-edge-litert", "tflite-runtime", "onnxruntime", "picamera2", "av")
found = [f"{name} {version(name)}" for name in names if version(name)]
print("contents=" + ", ".join([f"Python {platform.python_version()}", *found]))
PYTHON
}

make_accounts() {
  if ! getent passwd "$ACCOUNT" >/dev/null; then
    run useradd --system --user-group --home-dir "$STATE" --no-create-home \
      --shell /usr/sbin/nologin "$ACCOUNT"
    changed "Made the system user $ACCOUNT"
  fi
  join "$ACCOUNT" video
  if [ -n "$ssh_user" ] && [ "$ssh_user" != root ]; then
    getent passwd "$ssh_user" >/dev/null || die "there is no user '$ssh_user' on this system"
    join "$ssh_user" "$ACCOUNT"
  fi
}

# Arguments: user, group. Holds from the user's next login on.
join() {
  if id -nG "$1" 2>/dev/null | grep -qw -- "$2"; then return; fi
  run usermod --append --groups "$2" "$1"
  changed "Put $1 into the group $2"
}

make_folders() {
  run install -d -o "$ACCOUNT" -g "$ACCOUNT" -m 0750 "$STATE"
  # The hardened service may not set the set-gid bit itself.
  run install -d -o "$ACCOUNT" -g "$ACCOUNT" -m 2770 "$STATE/incoming"
  if [ ! -e "$CONFIG" ]; then
    default_config >"$WORK/config"
    put_file "$CONFIG" <"$WORK/config"
  fi
}

default_config() {
  cat <<'TOML'
# Configuration of the tartlet daemon, in full in docs/device.md; `sudo systemctl reload tartlet` reads it again.
log_level = "info"

[camera]
kind = "picamera"        # a Raspberry Pi's own camera; "v4l2" for a USB camera
width = 1280
height = 720
# photo = "full"         # `capture` in the sensor's full resolution; takes more of the camera's memory
TOML
}

# Raspberry Pi OS gives these to the group video; plain Debian leaves them to root.
camera_rules() {
  local subsystem
  echo "# The nodes of a camera that the group video may not use otherwise; see setup_pi.sh."
  for subsystem in dma_heap vcio media video4linux; do
    grep -rqs --exclude="$(basename "$RULES")" -e "$subsystem.*GROUP=\"video\"" /etc/udev/rules.d /usr/lib/udev/rules.d && continue
    if [ "$subsystem" = vcio ]; then
      echo 'KERNEL=="vcio", GROUP="video", MODE="0660"'
    else
      echo "SUBSYSTEM==\"$subsystem\", GROUP=\"video\", MODE=\"0660\""
    fi
  done
}

install_rules() {
  camera_rules >"$WORK/rules"
  if [ "$(wc -l <"$WORK/rules")" -eq 1 ]; then return; fi
  if put_file "$RULES" <"$WORK/rules"; then
    run udevadm control --reload 2>/dev/null || true
    run udevadm trigger --action=change --subsystem-match=dma_heap --subsystem-match=media \
      --subsystem-match=video4linux 2>/dev/null || true
    run udevadm trigger --action=change --sysname-match=vcio 2>/dev/null || true
  fi
}

# What is different where the daemon may use the network.
network_rules() {
  cat <<'UNIT'
# Written by setup_pi.sh --network, removed by --no-network.
[Service]
PrivateNetwork=no
RestrictAddressFamilies=AF_INET AF_INET6
IPAddressAllow=any
UNIT
}

set_network() {
  case $network in
    yes)
      network_rules >"$WORK/network"
      if ! put_file "$NETWORK" <"$WORK/network"; then return; fi
      ;;
    no)
      if [ ! -e "$NETWORK" ]; then return; fi
      run rm -f "$NETWORK"
      changed "Removed $NETWORK"
      ;;
    *) return ;;
  esac
  run touch "$PENDING"
  run systemctl daemon-reload
}

# Let an environment serve: the link and the unit. Argument: environment.
use() {
  if [ "$(readlink "$PREFIX")" != "$1" ]; then
    run touch "$PENDING"
    # An early version had its environment at that very place.
    if [ -d "$PREFIX" ] && [ ! -L "$PREFIX" ]; then run rm -rf "$PREFIX"; fi
    run ln -sfn "$1" "$PREFIX.new"
    run mv -T "$PREFIX.new" "$PREFIX"
  fi
  # Where an SSH command finds it: the laptop may run `tartlet-device bridge`.
  if [ "$(readlink "$COMMAND")" != "$PREFIX/bin/tartlet-device" ]; then
    run ln -sfn "$PREFIX/bin/tartlet-device" "$COMMAND"
  fi
  if [ "$dry_run" = yes ]; then
    say "would write $UNIT"
  elif put_file "$UNIT" <"$1/share/tartlet/tartlet.service"; then
    run touch "$PENDING"
    run systemctl daemon-reload
  fi
  systemctl is-enabled --quiet tartlet 2>/dev/null || run systemctl enable --quiet tartlet
}

# Whether the daemon starts and answers.
restart() {
  run systemctl restart tartlet && run "$PREFIX/bin/tartlet-device" status >"$WORK/status" 2>&1
}

serve() {
  local previous
  previous=$(readlink "$PREFIX" || true)
  use "$environment"
  if [ "$start" = no ]; then return; fi
  if [ ! -e "$PENDING" ] && systemctl is-active --quiet tartlet; then return; fi
  if ! restart; then
    cat "$WORK/status" >&2 2>/dev/null || true
    journalctl --unit tartlet --lines 10 --no-pager --output cat >&2 2>/dev/null || true
    if [ -n "$previous" ] && [ "$previous" != "$environment" ]; then
      use "$previous"
      restart || true
      run rm -f "$PENDING"
      run rm -rf "$environment"
      die "the new version does not start (above: its log); the old one serves again"
    fi
    die "the service does not start (above: its log); see also: tartlet-device doctor"
  fi
  run rm -f "$PENDING"
  changed "Restarted the service"
}

# Environments that do not serve: the one before, and half-made ones of interrupted runs.
remove_old() {
  local each
  for each in "$PREFIX"-????????; do
    [ -d "$each" ] && [ "$each" != "$(readlink "$PREFIX")" ] || continue
    run rm -rf "$each"
    say "Removed $each"
  done
}

uninstall() {
  run systemctl disable --quiet --now tartlet 2>/dev/null || true
  run rm -f "$UNIT" "$UNIT.tartlet-new" "$COMMAND" "$PENDING" "$NETWORK" "$NETWORK.tartlet-new"
  run rmdir --ignore-fail-on-non-empty "$(dirname "$NETWORK")" 2>/dev/null || true
  run systemctl daemon-reload
  if [ -e "$RULES" ]; then
    run rm -f "$RULES" "$RULES.tartlet-new"
    run udevadm control --reload 2>/dev/null || true
  fi
  local packages
  packages=$(stamped "$PREFIX" packages)
  run rm -rf "$PREFIX"-???????? "$PREFIX" "$PREFIX.new"
  if [ "$keep_models" = yes ]; then
    say "tartlet is removed. Its models ($STATE), configuration ($(dirname "$CONFIG")) and user account"
    say "stay; to remove them too: sudo ./setup_pi.sh --uninstall"
  else
    run rm -rf "$STATE" "$(dirname "$CONFIG")"
    if getent passwd "$ACCOUNT" >/dev/null; then run userdel "$ACCOUNT"; fi
    if getent group "$ACCOUNT" >/dev/null; then run groupdel "$ACCOUNT"; fi
    say "tartlet is removed, with its models and configuration"
  fi
  if [ -n "$packages" ]; then
    say "These Debian packages came with it, and may be in use by others by now:"
    say "  sudo apt-get remove --autoremove $packages"
  fi
}

summary() {
  if [ "$dry_run" = yes ]; then return; fi
  say ""
  if [ ${#changes[@]} -eq 0 ]; then
    say "Nothing to do: tartlet $(stamped "$PREFIX" version) is installed, and nothing changed"
  else
    say "tartlet $(stamped "$PREFIX" version) is installed"
  fi
  say "  with        $(stamped "$PREFIX" contents)"
  say "  program     $PREFIX -> $(readlink "$PREFIX")"
  say "  models      $STATE"
  say "  settings    $CONFIG"
  say "  service     tartlet ($(systemctl is-active tartlet || true)); log: journalctl -u tartlet"
  say "  check it    tartlet-device doctor"
  say "  on a laptop that does not know it yet: tartlet device add NAME ${ssh_user:-USER}@$(uname -n)"
}

parse() {
  wheels='' offline=no wanted_runtime='' onnx=no ssh_user=${SUDO_USER:-} start=yes dry_run=no
  action=install keep_models=no force=no network='' new_packages=()
  while [ $# -gt 0 ]; do
    case $1 in
      --wheels) [ $# -ge 2 ] || die "--wheels needs a folder"; wheels=$2; shift ;;
      --runtime) [ $# -ge 2 ] || die "--runtime needs a name"; wanted_runtime=$2; shift ;;
      --ssh-user) [ $# -ge 2 ] || die "--ssh-user needs a name"; ssh_user=$2; shift ;;
      --offline) offline=yes ;;
      --onnx) onnx=yes ;;
      --network) network=yes ;;
      --no-network) network=no ;;
      --force) force=yes ;;
      --no-start) start=no ;;
      --dry-run) dry_run=yes ;;
      --facts) action=facts ;;
      --uninstall) action=uninstall ;;
      --keep-models) keep_models=yes ;;
      -h | --help) usage; exit 0 ;;
      *) die "unknown option '$1'; --help lists them all" ;;
    esac
    shift
  done
  case $wanted_runtime in
    '' | litert | tflite) ;;
    *) die "--runtime is litert or tflite, not '$wanted_runtime'" ;;
  esac
  if [ -n "$wheels" ]; then
    local distribution found
    for distribution in tartlet_shared tartlet_device; do
      found=$({ compgen -G "$wheels/$distribution-*.whl" || true; } | wc -l)
      [ "$found" -eq 1 ] || die "there are $found files $distribution-*.whl in '$wheels', not one"
    done
    wheels=$(cd "$wheels" && pwd)
  fi
  if [ "$offline" = yes ] && [ -z "$wheels" ]; then die "--offline needs --wheels"; fi
  if [ "$keep_models" = yes ] && [ "$action" != uninstall ]; then
    die "--keep-models goes with --uninstall"
  fi
}

main() {
  # Empty if it is read from standard input, which --facts allows.
  script=${BASH_SOURCE[0]:-}
  parse "$@"
  if [ "$action" = facts ]; then
    look_at_system
    facts
    return
  fi
  lock "$@"
  if [ "$action" = uninstall ]; then
    uninstall
    return
  fi
  check_system
  find_source
  install_packages
  install_environment
  make_accounts
  make_folders
  install_rules
  set_network
  serve
  remove_old
  summary
}

# Sourced by tests, which call the functions above.
if [ "${BASH_SOURCE[0]:-$0}" = "$0" ]; then
  main "$@"
fi
