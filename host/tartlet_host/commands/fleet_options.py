"""What the commands for many devices have in common: how they are chosen, how they end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from tartlet_host.commands.options import file_and_device, print_json, say
from tartlet_host.commands.push_options import pace, terms_for_all
from tartlet_host.commands.times import Duration
from tartlet_shared import errors

if TYPE_CHECKING:
    from tartlet_host.fleet.state import Rollout, Rollouts
    from tartlet_host.remote.inventory import Device

_F = TypeVar("_F", bound=Callable[..., Any])


def group_names(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """For the Tab key: groups of the devices that were added."""
    from tartlet_host.fleet.selection import groups_of

    return _known(groups_of, incomplete)


def tag_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The same for tags."""
    from tartlet_host.fleet.selection import tags_of

    return _known(tags_of, incomplete)


def rollout_numbers(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """For the Tab key: rollouts, the newest first."""
    from tartlet_host.fleet.state import Rollouts

    numbers = [str(number) for number in reversed(Rollouts().numbers())]
    return [CompletionItem(number) for number in numbers if number.startswith(incomplete)]


def choosing(function: _F) -> _F:
    """``--group``, ``--tag`` and ``--all``."""
    for option in (
        click.option("--all", "everything", is_flag=True, help="Every device that was added."),
        click.option(
            "--tag",
            "tags",
            multiple=True,
            shell_complete=tag_names,
            help="Only devices with this tag; given twice, with both.",
        ),
        click.option(
            "--group",
            "groups",
            multiple=True,
            shell_complete=group_names,
            help="The devices of this group; may be given again.",
        ),
    ):
        function = option(function)
    return function


def wait_option(function: _F) -> _F:
    """``--wait``."""
    option = click.option(
        "--wait",
        "wait_s",
        type=Duration(),
        default=None,
        help="Try devices that are away again for so long: 10m, 2h. Without: once.",
    )
    return option(function)


def drive(rollouts: Rollouts, rollout: Rollout, *, wait_s: float | None, as_json: bool) -> None:
    """Go on with a rollout until it ends, waits or stops; then say how it is.

    Raises:
        RolloutStopped, DevicesAway, DevicesFailed: how it is, for the exit code.
        BundleError: the bundle is not there any more, or another one is.
    """
    from tartlet_host.fleet.pushing import pusher
    from tartlet_host.fleet.runner import Runner
    from tartlet_host.fleet.view import summary, watching
    from tartlet_host.remote import inventory
    from tartlet_shared.bundle import open_bundle

    bundle = open_bundle(Path(rollout.bundle))
    if bundle.digest != rollout.digest:
        raise errors.BundleError(
            f"is {bundle.digest[:12]} now; rollout {rollout.number} is of {rollout.digest[:12]}",
            where=rollout.bundle,
            hint="start a new one with `tartlet push`",
        )
    devices = inventory.load(inventory.default_path())
    terms = terms_for_all(rollout.wish, bundle)
    with watching(quiet=as_json) as view:
        push = pusher(
            devices,
            bundle,
            terms,
            wait=rollout.wish.wait,
            pace=pace(rollout.wish),
            report=view.step,
        )
        runner = Runner(rollouts, push, tell=view.tell, wait_s=wait_s or 0.0)
        try:
            rollout = runner.run(rollout)
        except KeyboardInterrupt:
            say(f"to go on: tartlet rollout resume {rollout.number}")
            raise
    if as_json:
        print_json(as_data(rollout, "interrupted"))
    else:
        click.echo(summary(rollout))
    problem = outcome(rollout)
    if problem is not None:
        raise problem


def outcome(rollout: Rollout) -> errors.FleetError | None:
    """How a rollout ended, None where every device is as wanted."""
    from tartlet_host.fleet.engine import State, Verdict

    decision = rollout.decide()
    where, again = f"rollout {rollout.number}", f"tartlet rollout resume {rollout.number}"
    if decision.verdict is Verdict.STOPPED:
        hint = (
            again if rollout.stopped else f"tartlet rollout show {rollout.number}; {again} --failed"
        )
        return errors.RolloutStopped(f"stopped: {decision.reason}", where=where, hint=hint)
    failed = [name for name, each in rollout.devices.items() if each.state is State.FAILED]
    if decision.verdict is not Verdict.ENDED:
        reason = decision.reason or "it was interrupted"
        return errors.DevicesAway(f"is not through: {reason}", where=where, hint=again)
    if failed:
        return errors.DevicesFailed(
            f"failed on {', '.join(failed)}", where=where, hint=f"{again} --failed"
        )
    return None


def as_data(rollout: Rollout, otherwise: str) -> dict[str, Any]:
    """For JSON.

    Args:
        rollout: to describe.
        otherwise: its state where there is something left to start.
    """
    import msgspec

    from tartlet_host.fleet.engine import Verdict

    decision = rollout.decide()
    fields = msgspec.to_builtins(rollout)
    del fields["format"]
    running = decision.verdict is Verdict.RUNNING
    return {
        **fields,
        "state": otherwise if running else str(decision.verdict),
        "reason": decision.reason,
    }


def chosen(
    names: tuple[str, ...], groups: tuple[str, ...], tags: tuple[str, ...], everything: bool
) -> tuple[dict[str, Device], list[tuple[str, ...]]]:
    """All devices, and those meant: see `tartlet_host.fleet.selection.select`; the only one
    there is where nothing is said."""
    from tartlet_host.fleet.selection import select
    from tartlet_host.remote import inventory

    devices = inventory.load(inventory.default_path())
    if not (names or groups or tags or everything):
        names = (inventory.find(devices, None).name,)
    found = select(devices, names=names, groups=groups, tags=tags, everything=everything)
    return devices, found


def bundle_and_devices(words: tuple[str, ...]) -> tuple[Path | None, tuple[str, ...]]:
    """Tell ``[BUNDLE] [DEVICE]...`` apart.

    The first of several words is the bundle, unless a device of that name was added and there is
    no such folder here; for a single word see `file_and_device`.
    """
    from tartlet_host.remote import inventory

    if len(words) < 2:
        folder, device = file_and_device(words[0] if words else None, None, file_first=True)
        return folder, () if device is None else (device,)
    if words[0] in inventory.load(inventory.default_path()) and not Path(words[0]).is_dir():
        return None, words
    return Path(words[0]), words[1:]


def _known(
    words_of: Callable[[dict[str, Device]], list[str]], incomplete: str
) -> list[CompletionItem]:
    from tartlet_host.remote import inventory

    with contextlib.suppress(errors.TartletError, OSError):
        words = words_of(inventory.load(inventory.default_path()))
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]
    return []
