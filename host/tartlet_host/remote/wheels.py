"""The wheels that a device needs, made and fetched on the laptop for the device's Python.

The device then needs no package index. What was made once is kept in the user's cache folder, by
what it was made from.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tartlet_host import __version__
from tartlet_host.remote.facts import Facts
from tartlet_shared import errors

Report = Callable[[int, int], None]
"""Called with how much is done and how much there is in all."""

_OURS = ("shared", "device")
_OLDEST_GLIBC = 17  # of manylinux_2_17, the oldest that wheels for arm64 are built for
_UNUSED_S = 30 * 24 * 3600
# Debian's own serve: what is built against them breaks with others.
_FROM_DEBIAN = ("numpy",)


@dataclass(frozen=True)
class Wheels:
    """What goes to a device.

    Attributes:
        ours: tartlet's own two.
        libraries: all that they need, except what comes from Debian; none where the device has to
            fetch them itself.
    """

    ours: tuple[Path, ...]
    libraries: tuple[Path, ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """All, by name."""
        return tuple(sorted((*self.ours, *self.libraries), key=lambda path: path.name))


def cache_dir() -> Path:
    """Where wheels are kept."""
    import platformdirs  # only needed here

    return Path(platformdirs.user_cache_dir("tartlet", appauthor=False)) / "wheels"


def checkout() -> Path | None:
    """The repository that this runs from; None for an installed tartlet."""
    root = Path(__file__).resolve().parents[3]
    wanted = [root / "setup_pi.sh", *(root / name / "pyproject.toml" for name in _OURS)]
    return root if all(path.is_file() for path in wanted) else None


def setup_script(source: Path | None) -> bytes:
    """setup_pi.sh: of the repository, else the copy that was installed with this program."""
    if source is not None:
        return (source / "setup_pi.sh").read_bytes()
    return importlib.resources.files("tartlet_host").joinpath("data/setup_pi.sh").read_bytes()


def prepare(
    facts: Facts, extras: Sequence[str], source: Path | None, cache: Path, report: Report
) -> Wheels:
    """Make or find everything that a device needs.

    Args:
        facts: about the device.
        extras: of tartlet-device, such as ``["litert", "opencv"]``.
        source: a repository to build from; None for the published version of this program.
        cache: see `cache_dir`.
        report: told how many libraries are there.

    Raises:
        TartletError: pip failed; what it said is in the text.
    """
    ours = _ours(source, cache)
    if facts.bits == 32:
        # The index has no wheels of some libraries for 32-bit systems; Raspberry Pi's own has them.
        return Wheels(ours, ())
    return Wheels(ours, _libraries(facts, extras, ours, cache, report))


def fingerprint(
    script: bytes, wheels: Wheels, python: tuple[int, int], *, runtime: str, onnx: bool
) -> str:
    """What an installation is made from; setup_pi.sh computes the same and keeps it.

    Args:
        script: setup_pi.sh.
        wheels: what goes to the device.
        python: of the device.
        runtime: as asked for, empty for the best.
        onnx: whether ONNX Runtime is wanted too.
    """
    text = f"{hashlib.sha256(script).hexdigest()}  -\n"
    text += "".join(f"{_digest(path)}  {path.name}\n" for path in wheels.files)
    text += f"python={python[0]}.{python[1]} runtime={runtime} onnx={'yes' if onnx else 'no'}\n"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def platform_arguments(facts: Facts) -> list[str]:
    """What tells pip to choose for the device instead of for this computer."""
    arguments = ["--only-binary=:all:", "--implementation=cp"]
    arguments.append(f"--python-version={facts.python[0]}.{facts.python[1]}")
    tags = [f"manylinux_2_{minor}" for minor in range(facts.glibc[1], _OLDEST_GLIBC - 1, -1)]
    tags += ["manylinux2014", "linux"]
    return [*arguments, *(f"--platform={tag}_{facts.machine}" for tag in tags)]


def _ours(source: Path | None, cache: Path) -> tuple[Path, ...]:
    """tartlet's own wheels: built, or the published ones."""
    key = f"ours-{__version__}" if source is None else f"ours-{_source_digest(source)}"

    def fill(folder: Path) -> None:
        if source is None:
            names = [f"tartlet-{name}=={__version__}" for name in _OURS]
            _pip("download", "--no-deps", f"--dest={folder}", *names)
            return
        # hatchling is there in a checkout that `make` prepared; else pip fetches it.
        isolation = ["--no-build-isolation"] if _has("hatchling") else []
        folders = [str(source / name) for name in _OURS]
        _pip("wheel", "--no-deps", *isolation, f"--wheel-dir={folder}", *folders)

    return _kept(cache, key, fill)


def _libraries(
    facts: Facts, extras: Sequence[str], ours: Sequence[Path], cache: Path, report: Report
) -> tuple[Path, ...]:
    target = platform_arguments(facts)
    same = _same_as_here()
    key_parts = [*target, *extras, facts.numpy, *same, *(_needs(wheel) for wheel in ours)]
    key = f"libraries-{_hash(part.encode() for part in key_parts)}"

    def fill(folder: Path) -> None:
        wanted = _resolve(facts, extras, ours, target, same)
        for number, requirement in enumerate(wanted):
            report(number, len(wanted))
            _pip("download", "--no-deps", f"--dest={folder}", *target, requirement)
        report(len(wanted), len(wanted))

    return _kept(cache, key, fill)


def _resolve(
    facts: Facts,
    extras: Sequence[str],
    ours: Sequence[Path],
    target: Sequence[str],
    same: Sequence[str],
) -> list[str]:
    """``name==version`` of every library that the device needs and Debian does not bring."""
    (device,) = (str(path) for path in ours if path.name.startswith("tartlet_device"))
    others = [str(path) for path in ours if str(path) != device]
    numpy = [f"numpy=={facts.numpy}"] if facts.numpy else []
    with tempfile.TemporaryDirectory(prefix="tartlet-resolve-") as name:
        answer, constraints = Path(name) / "report.json", Path(name) / "constraints"
        command = ["install", "--dry-run", "--ignore-installed", f"--report={answer}"]
        command += [f"--target={name}/none", f"--constraint={constraints}", *target]
        command += [*others, f"{device}[{','.join(extras)}]"]
        constraints.write_text("\n".join([*numpy, *same]))
        try:
            _pip(*command)
        except errors.TartletError:
            # An older system may be too old for the laptop's version.
            constraints.write_text("\n".join(numpy))
            _pip(*command)
        found = json.loads(answer.read_bytes())["install"]
    versions = {each["metadata"]["name"]: each["metadata"]["version"] for each in found}
    passed_over = (*_FROM_DEBIAN, "tartlet-shared", "tartlet-device")
    return [f"{name}=={versions[name]}" for name in sorted(versions) if name not in passed_over]


def _same_as_here() -> list[str]:
    """Libraries that should be of the same version on both sides: OpenCV scales the pictures."""
    try:
        version = importlib.metadata.version("opencv-python-headless")
    except importlib.metadata.PackageNotFoundError:
        return []
    return [f"opencv-python-headless=={version}"]


def _kept(cache: Path, key: str, fill: Callable[[Path], None]) -> tuple[Path, ...]:
    """The wheels of ``cache/key``; made aside and renamed, so that they are all there or none.

    Those that were not used for a month are removed.
    """
    place = cache / key
    if not place.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(prefix=f".{key}.", dir=cache))
        try:
            fill(aside)
            if not place.is_dir():
                aside.rename(place)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        for other in cache.iterdir():
            if time.time() - other.stat().st_mtime > _UNUSED_S:
                shutil.rmtree(other, ignore_errors=True)
    os.utime(place)
    return tuple(sorted(place.glob("*.whl")))


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise errors.TartletError(
            _complaint(done.stdout, done.stderr),
            where=f"pip {arguments[0]}",
            hint="is this computer online? pip on it must reach its package index",
        )


def _complaint(out: str, err: str) -> str:
    """What pip failed of: its errors, and which requirements contradict each other."""
    _, _, conflict = out.partition("The conflict is caused by:")
    causes = [line.strip() for line in conflict.partition("\n\n")[0].splitlines() if line.strip()]
    said = [line for line in err.splitlines() if line.startswith("ERROR")]
    return "; ".join([*causes, *said[:2]]) or err.strip()[-500:] or "pip failed"


def _has(module: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(module) is not None


def _source_digest(source: Path) -> str:
    """Of every file that the wheels are built from."""
    files = [
        path
        for name in _OURS
        for path in sorted((source / name).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    named = ((path.relative_to(source).as_posix().encode(), path.read_bytes()) for path in files)
    return _hash(part for pair in named for part in pair)


def _needs(wheel: Path) -> str:
    """The libraries that a wheel's metadata asks for."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode()
    # Without our own: a new version of tartlet alone fetches nothing.
    lines = [line for line in text.splitlines() if line.startswith("Requires-Dist:")]
    return "\n".join(line for line in lines if not line.startswith("Requires-Dist: tartlet"))


def _hash(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()[:16]


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
