"""Keys from the command line: a real push to a real daemon, with and without."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tartlet_host.remote import probe
from tartlet_host.remote.embedded import EmbeddedDevice
from tartlet_shared import errors, manifest
from tartlet_shared.bundle import Bundle, open_bundle

pytestmark = pytest.mark.system

Run = Callable[..., tuple[int, str, str]]


def rewritten(folder: Path, name: str, **fields: Any) -> Bundle:
    """A probe bundle with other fields in its manifest."""
    made = probe.write_bundle(folder, name=name).manifest
    content = manifest.encode(msgspec.structs.replace(made, **fields))
    (folder / manifest.MANIFEST_NAME).write_bytes(content)
    return open_bundle(folder)


def test_from_no_key_to_rotated_keys(
    embedded: EmbeddedDevice, bundle: Bundle, run: Run, tmp_path: Path, helpers: Any
) -> None:
    config, folder = embedded.config_dir, bundle.folder

    def do(*words: object) -> Any:
        probation = ("--confirm", 0) if words[0] == "push" else ()
        code, out, said = run(config, *words, *probation, "--json")
        assert code == 0, said
        return json.loads(out)

    def refused(error: type[errors.TartletError], *words: object) -> str:
        code, _, said = run(config, *words)
        assert code == error.exit_code, said
        assert "what to do" in said
        return said

    # No key anywhere: as ever.
    assert do("push", folder)["serves"]
    assert do("key", "list", "demo") == []
    key = do("key", "new")
    assert Path(key["path"]).stat().st_mode & 0o777 == 0o600
    # What serves must be signed first; no file is sent for that.
    assert "would not be trusted" in refused(errors.BundleUntrusted, "key", "trust", "demo")
    signed = do("push", folder, "--sign")
    assert (signed["serves"], signed["files_sent"]) == (True, 0)
    trusted = do("key", "trust", "demo")["keys"]
    assert (
        [each["id"] for each in trusted]
        == [key["id"]]
        == [each["id"] for each in do("key", "list", "demo")]
    )
    # It starts again with the signed model.
    embedded.restart_daemon()
    assert do("status", "demo")["model"]["digest"] == bundle.digest
    # A bundle that nobody signed is signed on the way.
    second = rewritten(tmp_path / "second", "second", release=2)
    assert do("push", second.folder)["serves"]
    # Somebody who may log in, but has no key, changes nothing.
    kept = (config / "keys").rename(config / "kept")
    third = rewritten(tmp_path / "third", "third", release=3)
    refused(errors.BundleUntrusted, "push", third.folder)
    do("key", "new", "mallory")
    refused(errors.BundleUntrusted, "push", third.folder, "--sign")
    refused(errors.UsageError, "key", "trust", "demo")
    refused(errors.UsageError, "key", "forget", "demo", "--all")
    assert helpers.active_digest(embedded) == second.digest
    # Rotation: the new one is let in by the old one, which then goes.
    public = tmp_path / "mallory.pub"
    public.write_text(run(config, "key", "show", "mallory")[1])
    (config / "keys").rename(config / "other")
    kept.rename(config / "keys")
    assert len(do("key", "trust", "demo", "--public", public)["keys"]) == 2
    for name in ("mallory.key", "mallory.pub"):
        (config / "other" / name).rename(config / "keys" / name)
    refused(errors.BundleUntrusted, "key", "forget", "demo", "default")
    assert do("push", third.folder, "--key", "mallory")["serves"]
    assert len(do("key", "forget", "demo", "default")["keys"]) == 1
    # An older release only if it is asked for.
    refused(errors.ReleaseOlder, "push", second.folder, "--key", "mallory")
    assert do("push", second.folder, "--key", "mallory", "--allow-older")["serves"]
    assert do("key", "forget", "demo", "--all")["keys"] == []
    assert do("push", third.folder)["serves"]
