"""Logging in: agent, key files, and a password only when a person is there to type it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tartlet_host.remote.target import Target
from tartlet_shared import errors

if TYPE_CHECKING:
    import paramiko

_log = logging.getLogger(__name__)

Ask = Callable[[str], str]
"""Asks the person for a secret; given the prompt. Never called where nobody can answer."""

_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")


@dataclass(frozen=True)
class _Candidate:
    label: str
    key: paramiko.PKey


def authenticate(transport: paramiko.Transport, target: Target, ask: Ask | None) -> str:
    """Log in; returns what was accepted, in words.

    Args:
        transport: after its key exchange, host key checked.
        target: user and keys.
        ask: for passphrases and the password; None where nobody can answer.

    Raises:
        AuthenticationFailed: names everything that was tried.
    """
    with _agent_keys() as agent:
        return _try_all(transport, target, ask, agent)


def _try_all(
    transport: paramiko.Transport, target: Target, ask: Ask | None, agent: dict[bytes, _Candidate]
) -> str:
    import paramiko  # heavy

    tried: list[str] = []
    password_allowed = True
    for candidate in _candidates(target, ask, tried, agent):
        try:
            transport.auth_publickey(target.user, candidate.key)
        except paramiko.BadAuthenticationType as error:
            password_allowed = "password" in error.allowed_types
            break
        except paramiko.AuthenticationException as error:
            tried.append(candidate.label)
            _log.debug("%s refused %s: %s", target.address, candidate.label, error)
        except (paramiko.SSHException, EOFError, OSError) as error:
            tried.append(f"{candidate.label} (after which it hung up: {error})")
        else:
            _log.debug("%s accepted %s", target.address, candidate.label)
            return candidate.label
        if not transport.is_active():
            raise _refused(target, tried)
    if ask is not None and password_allowed:
        tried.append("a password")
        try:
            transport.auth_password(target.user, ask(f"{target.user}@{target.host}'s password: "))
        except (paramiko.SSHException, EOFError) as error:
            raise _refused(target, tried) from error
        return "a password"
    raise _refused(target, tried)


def _candidates(
    target: Target, ask: Ask | None, tried: list[str], agent: dict[bytes, _Candidate]
) -> Iterator[_Candidate]:
    """Keys in OpenSSH's order of preference: the configured files, the agent, the usual files."""
    offered: set[bytes] = set()
    for path in target.identity_files:
        yield from _once(_from_file(path, agent, ask, tried), offered)
    if not target.identities_only:
        for blob, candidate in agent.items():
            if blob not in offered:
                offered.add(blob)
                yield candidate
    if not target.identity_files:
        for name in _DEFAULT_KEYS:
            path = Path.home() / ".ssh" / name
            if path.exists():
                yield from _once(_from_file(path, agent, ask, tried), offered)


def _once(found: _Candidate | None, offered: set[bytes]) -> Iterator[_Candidate]:
    if found is not None and found.key.asbytes() not in offered:
        offered.add(found.key.asbytes())
        yield found


@contextlib.contextmanager
def _agent_keys() -> Iterator[dict[bytes, _Candidate]]:
    """What the agent holds, by public key; to be used while it is open."""
    import paramiko  # heavy

    if os.name != "nt" and not os.environ.get("SSH_AUTH_SOCK"):
        yield {}
        return
    try:
        agent = paramiko.Agent()
    except (paramiko.SSHException, OSError) as error:
        _log.info("the SSH agent does not answer: %s", error)
        yield {}
        return
    with contextlib.closing(agent):
        yield {
            key.asbytes(): _Candidate(f"the agent's key {key.comment or key.fingerprint}", key)
            for key in agent.get_keys()
        }


def _from_file(
    path: Path, agent: dict[bytes, _Candidate], ask: Ask | None, tried: list[str]
) -> _Candidate | None:
    """The key in a file, the agent's copy of it if there is one; None with the reason noted."""
    import paramiko  # heavy
    from paramiko.pkey import UnknownKeyType

    held = agent.get(_public_blob(path))
    if held is not None:
        return held
    try:
        return _Candidate(str(path), paramiko.PKey.from_path(path))
    except (TypeError, paramiko.PasswordRequiredException):
        # cryptography says TypeError for a key that is encrypted.
        if ask is None:
            tried.append(f"{path} (skipped: it has a passphrase; add it with ssh-add)")
            return None
    except (OSError, ValueError, paramiko.SSHException, UnknownKeyType) as error:
        tried.append(f"{path} (skipped: {error})")
        return None
    try:
        passphrase = ask(f"passphrase of {path}: ").encode()
        # paramiko's annotation says str, what it calls wants bytes.
        return _Candidate(str(path), paramiko.PKey.from_path(path, passphrase))  # type: ignore[arg-type]
    except (TypeError, ValueError, paramiko.SSHException) as error:
        tried.append(f"{path} (skipped: {error})")
        return None


def _public_blob(path: Path) -> bytes:
    """The key of ``path`` + ``.pub``, empty where there is none: known without the passphrase."""
    from tartlet_host.remote.hostkey import HostKey

    try:
        return HostKey.parse(Path(f"{path}.pub").read_text()).blob
    except (OSError, UnicodeDecodeError, errors.ConfigError):
        return b""


def _refused(target: Target, tried: list[str]) -> errors.AuthenticationFailed:
    listed = "; ".join(tried) or "nothing: there is no key file and no agent"
    return errors.AuthenticationFailed(
        f"does not let {target.user!r} in; tried {listed}",
        where=target.address,
        hint=f"ssh-copy-id {'' if target.port == 22 else f'-p {target.port} '}"
        f"{target.user}@{target.host}   (makes a key's owner welcome there; "
        "ssh-keygen makes a key)",
    )
