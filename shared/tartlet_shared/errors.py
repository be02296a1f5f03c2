"""Every error that tartlet raises on purpose.

The tree, with the wire code and the exit code of each::

    TartletError                      internal                 1
    ├── UsageError                    usage                    2
    ├── ConfigError                   config                   3
    ├── DatasetError                  dataset                 10
    │   ├── DatasetNotFound           dataset-not-found       11
    │   ├── PictureUnreadable         picture-unreadable      12
    │   ├── BoxInvalid                box-invalid             13
    │   ├── UnknownClass              unknown-class           14
    │   └── FootageUnreadable         footage-unreadable      15
    ├── ModelError                    model                   20
    │   ├── CheckpointCorrupt         checkpoint-corrupt      21
    │   ├── ConversionFailed          conversion-failed       22
    │   └── ParityFailed              parity-failed           23
    ├── BundleError                   bundle                  30
    │   ├── BundleCorrupt             bundle-corrupt          31
    │   ├── BundleUntrusted           bundle-untrusted        32
    │   └── ReleaseOlder              release-older           33
    ├── ProtocolError                 protocol                40
    │   ├── MessageMalformed          message-malformed       41
    │   ├── MessageTooLarge           message-too-large       42
    │   └── VersionMismatch           version-mismatch        43
    ├── RemoteError                   remote                  50
    │   ├── Unreachable               unreachable             51
    │   ├── HostKeyUnknown            host-key-unknown        52
    │   ├── HostKeyChanged            host-key-changed        53
    │   ├── AuthenticationFailed      authentication-failed   54
    │   ├── ConnectionLost            connection-lost         55
    │   ├── DaemonNotRunning          daemon-not-running      56
    │   └── DeviceUnknown             device-unknown          57
    ├── DeviceError                   device                  60
    │   ├── CameraAbsent              camera-absent           61
    │   ├── CameraBusy                camera-busy             62
    │   ├── CameraTimeout             camera-timeout          63
    │   ├── StorageFull               storage-full            64
    │   ├── NoActiveModel             no-active-model         65
    │   ├── BundleNotOnDevice         bundle-not-on-device    66
    │   ├── SelfTestFailed            self-test-failed        67
    │   ├── RuntimeUnavailable        runtime-unavailable     68
    │   ├── NothingToRollBackTo       nothing-to-roll-back-to 69
    │   └── NotConfirmed              not-confirmed           70
    └── FleetError                    fleet                   80
        ├── RolloutStopped            rollout-stopped         81
        ├── DevicesAway               devices-away            82
        └── DevicesFailed             devices-failed          83

An error says what went wrong (``what``), where (``where``: a file, a host, a field) and what to do
about it (``hint``). A failure on the Pi travels as its code and is raised on the laptop as the
same type. Wire codes and exit codes are stable: they are never given a new meaning.
"""

from __future__ import annotations

from typing import ClassVar


class TartletError(Exception):
    """Base of all errors that tartlet raises on purpose."""

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[int] = 1

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.where}: {self.what}" if self.where else self.what


class UsageError(TartletError):
    """The command line asks for something that does not fit together."""

    code = "usage"
    exit_code = 2


class ConfigError(TartletError):
    """A recipe or a configuration file is wrong."""

    code = "config"
    exit_code = 3


class DatasetError(TartletError):
    """A data set cannot be used as it is."""

    code = "dataset"
    exit_code = 10


class DatasetNotFound(DatasetError):
    """The data set is not where it was said to be, or is empty."""

    code = "dataset-not-found"
    exit_code = 11


class PictureUnreadable(DatasetError):
    """A picture is missing, truncated or not a picture."""

    code = "picture-unreadable"
    exit_code = 12


class BoxInvalid(DatasetError):
    """A box is empty, not finite, or reaches outside its picture."""

    code = "box-invalid"
    exit_code = 13


class UnknownClass(DatasetError):
    """An annotation names a class that the data set does not have."""

    code = "unknown-class"
    exit_code = 14


class FootageUnreadable(DatasetError):
    """A video or folder of frames is missing, damaged or not the one expected."""

    code = "footage-unreadable"
    exit_code = 15


class ModelError(TartletError):
    """A network cannot be built, trained or converted."""

    code = "model"
    exit_code = 20


class CheckpointCorrupt(ModelError):
    """A checkpoint is missing, truncated or not a checkpoint."""

    code = "checkpoint-corrupt"
    exit_code = 21


class ConversionFailed(ModelError):
    """The conversion to TFLite or ONNX failed, or is not possible on this machine."""

    code = "conversion-failed"
    exit_code = 22


class ParityFailed(ModelError):
    """The compressed model does not see what its parent sees."""

    code = "parity-failed"
    exit_code = 23


class BundleError(TartletError):
    """A bundle cannot be made or used."""

    code = "bundle"
    exit_code = 30


class BundleCorrupt(BundleError):
    """A bundle is incomplete, or a file in it is not what its manifest says."""

    code = "bundle-corrupt"
    exit_code = 31


class BundleUntrusted(BundleError):
    """A bundle is not signed by a key that the device trusts."""

    code = "bundle-untrusted"
    exit_code = 32


class ReleaseOlder(BundleError):
    """A bundle is an older release than the one that serves."""

    code = "release-older"
    exit_code = 33


class ProtocolError(TartletError):
    """The two sides do not understand each other."""

    code = "protocol"
    exit_code = 40


class MessageMalformed(ProtocolError):
    """Bytes arrived that are not a message."""

    code = "message-malformed"
    exit_code = 41


class MessageTooLarge(ProtocolError):
    """A message is longer than the protocol allows."""

    code = "message-too-large"
    exit_code = 42


class VersionMismatch(ProtocolError):
    """Laptop and Pi speak different versions of the protocol."""

    code = "version-mismatch"
    exit_code = 43


class RemoteError(TartletError):
    """The Pi cannot be reached or refuses."""

    code = "remote"
    exit_code = 50


class Unreachable(RemoteError):
    """No SSH server answers at that address."""

    code = "unreachable"
    exit_code = 51


class HostKeyUnknown(RemoteError):
    """The Pi's host key was never pinned."""

    code = "host-key-unknown"
    exit_code = 52


class HostKeyChanged(RemoteError):
    """The Pi shows another host key than the pinned one."""

    code = "host-key-changed"
    exit_code = 53


class AuthenticationFailed(RemoteError):
    """The SSH server accepts none of the keys offered."""

    code = "authentication-failed"
    exit_code = 54


class ConnectionLost(RemoteError):
    """The connection ended in the middle of something."""

    code = "connection-lost"
    exit_code = 55


class DaemonNotRunning(RemoteError):
    """The SSH server answers, the tartlet daemon behind it does not."""

    code = "daemon-not-running"
    exit_code = 56


class DeviceUnknown(RemoteError):
    """No device of that name was added."""

    code = "device-unknown"
    exit_code = 57


class DeviceError(TartletError):
    """Something on the Pi does not work."""

    code = "device"
    exit_code = 60


class CameraAbsent(DeviceError):
    """No camera is attached, or its driver is missing."""

    code = "camera-absent"
    exit_code = 61


class CameraBusy(DeviceError):
    """Another process holds the camera."""

    code = "camera-busy"
    exit_code = 62


class CameraTimeout(DeviceError):
    """The camera delivered no frame in time."""

    code = "camera-timeout"
    exit_code = 63


class StorageFull(DeviceError):
    """The Pi's disk is full; nothing was changed."""

    code = "storage-full"
    exit_code = 64


class NoActiveModel(DeviceError):
    """No model was activated yet."""

    code = "no-active-model"
    exit_code = 65


class BundleNotOnDevice(DeviceError):
    """The bundle to activate was not pushed to the Pi."""

    code = "bundle-not-on-device"
    exit_code = 66


class SelfTestFailed(DeviceError):
    """The golden pictures give other detections on the Pi than on the laptop."""

    code = "self-test-failed"
    exit_code = 67


class RuntimeUnavailable(DeviceError):
    """The inference runtime that the model needs is not installed or does not load."""

    code = "runtime-unavailable"
    exit_code = 68


class NothingToRollBackTo(DeviceError):
    """There is no previous model."""

    code = "nothing-to-roll-back-to"
    exit_code = 69


class NotConfirmed(DeviceError):
    """The new model was not healthy for long enough, or another one took its place."""

    code = "not-confirmed"
    exit_code = 70


class FleetError(TartletError):
    """Something with many devices does not go on."""

    code = "fleet"
    exit_code = 80


class RolloutStopped(FleetError):
    """A rollout stopped: too many devices failed, or somebody stopped it."""

    code = "rollout-stopped"
    exit_code = 81


class DevicesAway(FleetError):
    """Some devices cannot be reached now; all others are as wanted."""

    code = "devices-away"
    exit_code = 82


class DevicesFailed(FleetError):
    """Some devices failed; all others are as wanted."""

    code = "devices-failed"
    exit_code = 83


def all_errors() -> tuple[type[TartletError], ...]:
    """Every error type, the base first, in the order of definition."""
    found: list[type[TartletError]] = [TartletError]
    for error in found:
        found.extend(error.__subclasses__())
    return tuple(found)


def from_code(code: str, what: str, *, where: str = "", hint: str = "") -> TartletError:
    """Rebuild an error from its wire code; an unknown code becomes a plain `TartletError`."""
    for error in all_errors():
        if error.code == code:
            return error(what, where=where, hint=hint)
    return TartletError(f"{code}: {what}", where=where, hint=hint)
