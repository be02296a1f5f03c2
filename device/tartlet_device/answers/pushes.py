"""Answers about bundles: taking, testing, serving and trusting them."""

from __future__ import annotations

from collections.abc import Iterator

from tartlet_device.model import ServingModel
from tartlet_device.serving import Probation, Serving
from tartlet_device.store import Store
from tartlet_shared import errors
from tartlet_shared.push_messages import (
    Accepted,
    AcceptRequest,
    Activated,
    ActivateRequest,
    Have,
    HaveRequest,
    OfferRequest,
    RollbackRequest,
    SelfTest,
    Trusted,
    TrustedRequest,
    TrustRequest,
    Wanted,
)


def stored(request: HaveRequest, store: Store, model: ServingModel) -> Iterator[Have]:
    """Whether a bundle is here, and whose are taken."""
    active = model.active()
    yield Have(
        request_id=request.request_id,
        stored=store.has(request.digest),
        active=active is not None and active.digest == request.digest,
        signed_by=store.signed_by(request.digest),
        trusted=tuple(key.id for key in store.trusted().keys),
    )


def offered(request: OfferRequest, store: Store) -> Iterator[Wanted]:
    """Which files of a bundle are not here yet; raises what `Store.offer` does."""
    digest, missing = store.offer(
        request.manifest, request.signature, allow_older=request.allow_older
    )
    yield Wanted(
        request_id=request.request_id,
        digest=digest,
        files=missing,
        folder=str(store.incoming),
        arrived=store.arrived(missing),
    )


def accepted(request: AcceptRequest, store: Store) -> Iterator[Accepted]:
    """A bundle that is verified and stored; raises what `Store.accept` does."""
    bundle = store.accept(request.digest)
    yield Accepted(request_id=request.request_id, digest=bundle.digest)


def activated(request: ActivateRequest, model: ServingModel) -> Iterator[Activated]:
    """What `ServingModel.activate` did; raises what that does."""
    probation = (
        Probation(period_s=request.confirm_s, latency_ms=request.latency_ms)
        if request.confirm_s
        else None
    )
    yield _activated(
        request.request_id,
        *model.activate(request.digest, probation, allow_older=request.allow_older),
    )


def trusted(request: TrustedRequest, store: Store) -> Iterator[Trusted]:
    """Whose bundles are taken."""
    yield Trusted(request_id=request.request_id, keys=store.trusted())


def trusting(request: TrustRequest, store: Store) -> Iterator[Trusted]:
    """Whose bundles are taken from now on; raises what `Store.trust` does."""
    yield Trusted(
        request_id=request.request_id,
        keys=store.trust(request.statement, request.signature),
    )


def rolled_back(request: RollbackRequest, model: ServingModel) -> Iterator[Activated]:
    """What `ServingModel.roll_back` did; raises what that does."""
    yield _activated(request.request_id, *model.roll_back())


def _activated(request_id: int, serving: Serving, tested: SelfTest) -> Activated:
    if serving.current is None:
        raise errors.TartletError("a model was activated and none is current")
    return Activated(
        request_id=request_id,
        digest=serving.current,
        previous=serving.previous,
        self_test=tested,
        confirmed=serving.probation is None,
    )
