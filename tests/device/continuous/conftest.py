"""A camera that is scripted, a model that is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tartlet_device.camera.owner import CameraOwner
from tartlet_device.camera.replay import ReplayCamera
from tartlet_device.model import ServingModel
from tartlet_device.store import Store
from tartlet_device.trial import Trials
from tests.tiny_model import BundleMaker


@pytest.fixture
def camera(footage: Path) -> Iterator[CameraOwner]:
    """Five photos, over and over, as fast as they are taken."""
    owner = CameraOwner(lambda: ReplayCamera(footage, rate=0))
    owner.start()
    yield owner
    owner.stop()


@pytest.fixture
def model(tmp_path: Path) -> ServingModel:
    """None serves yet."""
    return ServingModel(Trials(Store(tmp_path / "store"), threads=1))


@pytest.fixture
def serve(model: ServingModel, make_bundle: BundleMaker) -> Callable[..., str]:
    """Let a bundle of the tiny model serve; returns its digest."""

    def serve(name: str = "bright", **options: object) -> str:
        folder = make_bundle(name, **options)  # type: ignore[arg-type]
        store = model._store
        digest, wanted = store.offer((folder / "manifest.json").read_bytes())
        for entry in wanted:
            (store.incoming / entry.sha256).write_bytes((folder / entry.name).read_bytes())
        store.accept(digest)
        model.activate(digest)
        return digest

    return serve
