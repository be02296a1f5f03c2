"""Virtual Pis from the shell: ``python -m tests.system.virtual_pi start pi``."""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from pathlib import Path

from tests.system.virtual_pi import build, colour_bars, image, instance, needs
from tests.system.virtual_pi.releases import RELEASES

_REACH = """{pi.name} runs. Log in:
  {ssh}
Install tartlet, and see what its camera sees:
  tartlet device setup pi@127.0.0.1:{pi.port} --name {pi.name} --identity {pi.identity} --yes
  tartlet capture {pi.name}
Stop it, and delete what it wrote:
  make pi-stop NAME={pi.name}"""


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="virtual_pi", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("start", help="start one, and say how to reach it")
    start.add_argument("name", nargs="?", default="pi")
    start.add_argument("--release", choices=RELEASES, default="trixie")
    start.add_argument("--cpu", default=build.CPU, help="such as cortex-a72 (a Pi 4)")
    start.add_argument(
        "--scene", type=Path, help="folder of JPEGs that its camera sees; else a test card"
    )
    stop = commands.add_parser("stop", help="stop one, and delete what it wrote")
    stop.add_argument("name", nargs="?", default="pi")
    commands.add_parser("list", help="list those that run")
    commands.add_parser("build", help="build the images")
    arguments = parser.parse_args()

    reason = needs.missing()
    if reason:
        print(reason, file=sys.stderr)
        return 1
    cache = image.default_cache()
    base = cache / "instances"
    try:
        if arguments.command == "build":
            for root in image.ensure_all(RELEASES.values(), cache).values():
                print(root)
        elif arguments.command == "start":
            release = RELEASES[arguments.release]
            if not image.place(release, cache).exists():
                print("Building its image, once: about six minutes", file=sys.stderr)
            root = image.ensure(release, cache)
            with tempfile.TemporaryDirectory() as folder:
                colour_bars.write(Path(folder))
                scene = arguments.scene or Path(folder)
                pi = instance.start(
                    arguments.name,
                    [root],
                    base,
                    cpu=arguments.cpu,
                    scene=scene if release.picamera2 else None,
                    bound=False,
                )
            print(_REACH.format(pi=pi, ssh=shlex.join(pi.ssh_words)))
        elif arguments.command == "stop":
            instance.remove(instance.load(arguments.name, base))
        else:
            print("\n".join(instance.names(base)))
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
