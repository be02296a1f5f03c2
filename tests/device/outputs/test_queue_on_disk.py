from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tartlet_device.outputs.queue_on_disk import QueueOnDisk
from tartlet_shared import errors

MOST_ENTRIES, MOST_BYTES = 5, 40


class QueueMachine(RuleBasedStateMachine):
    """The queue against an ordered dictionary, reopened whenever it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "queue.sqlite"
        self.model: OrderedDict[str, bytes] = OrderedDict()
        self.dropped = 0
        self.open()

    def open(self) -> None:
        self.queue = QueueOnDisk(self.path, max_entries=MOST_ENTRIES, max_bytes=MOST_BYTES)
        self.queue.first()

    @rule(key=st.integers(0, 9).map(str), content=st.binary(max_size=MOST_BYTES + 3))
    def append(self, key: str, content: bytes) -> None:
        self.queue.append(key, content)
        if key in self.model:
            return
        if len(content) > MOST_BYTES:
            self.dropped += 1
            return
        self.model[key] = content
        while len(self.model) > MOST_ENTRIES or sum(map(len, self.model.values())) > MOST_BYTES:
            self.model.popitem(last=False)
            self.dropped += 1

    @rule(index=st.integers(0, MOST_ENTRIES))
    def acknowledge(self, index: int) -> None:
        waiting = self.queue.first(limit=100)
        if index < len(waiting):
            self.queue.acknowledge(waiting[index].number)
            del self.model[waiting[index].key]
            self.queue.acknowledge(waiting[index].number)  # a second time is no error

    @rule()
    def reopen(self) -> None:
        self.queue.close()
        self.open()

    @invariant()
    def same(self) -> None:
        waiting = self.queue.first(limit=100)
        assert [(entry.key, entry.content) for entry in waiting] == list(self.model.items())
        assert len(self.queue) == len(self.model)
        assert self.queue.content_bytes == sum(map(len, self.model.values()))
        assert self.queue.dropped == self.dropped
        numbers = [entry.number for entry in waiting]
        assert numbers == sorted(set(numbers))

    def teardown(self) -> None:
        self.queue.close()
        self.folder.cleanup()


QueueMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestQueueAgainstModel = QueueMachine.TestCase


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "queue.sqlite"


@pytest.fixture
def make(path):
    made = []

    def make(max_entries=100, max_bytes=10_000):
        made.append(QueueOnDisk(path, max_entries=max_entries, max_bytes=max_bytes))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def keys(queue: QueueOnDisk) -> list[str]:
    return [entry.key for entry in queue.first(limit=1000)]


def test_numbers_are_never_used_twice(make):
    queue = make()
    queue.append("a", b"1")
    (first,) = queue.first()
    queue.acknowledge(first.number)
    queue.append("b", b"2")
    queue.acknowledge(first.number)  # late: must not hit the new entry
    assert keys(queue) == ["b"]


@given(garbage=st.binary(min_size=100, max_size=5000))
@settings(max_examples=10, deadline=None)
def test_a_file_that_is_no_database_is_moved_aside(garbage):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "queue.sqlite"
        path.write_bytes(garbage)
        queue = QueueOnDisk(path, max_entries=10, max_bytes=1000)
        queue.append("a", b"1")
        assert keys(queue) == ["a"]
        assert queue.damaged == 1
        assert path.with_name("queue.sqlite.damaged").read_bytes() == garbage
        queue.close()


def test_a_damaged_page_is_noticed_at_the_start(make, path):
    queue = make(max_entries=1000, max_bytes=1_000_000)
    for number in range(200):
        queue.append(str(number), b"x" * 500)
    queue.close()
    with path.open("r+b") as stream:
        stream.seek(4096 * 3)
        stream.write(os.urandom(4096 * 6))
    again = make()
    again.append("new", b"1")
    assert keys(again) == ["new"]
    assert again.damaged == 1


def test_a_folder_that_cannot_be_made_is_an_error_that_goes_away(tmp_path):
    (tmp_path / "blocked").write_text("a file where the folder should be")
    queue = QueueOnDisk(tmp_path / "blocked" / "q.sqlite", max_entries=10, max_bytes=100)
    with pytest.raises(errors.DeviceError, match="queue cannot be used"):
        queue.append("a", b"1")
    (tmp_path / "blocked").unlink()
    queue.append("a", b"1")
    assert keys(queue) == ["a"]
    queue.close()


WRITER = """
import sys
from pathlib import Path
from tartlet_device.outputs.queue_on_disk import QueueOnDisk
queue = QueueOnDisk(Path(sys.argv[1]), max_entries=100000, max_bytes=10**9)
start = int(sys.argv[2])
for number in range(start, start + 100000):
    queue.append(str(number), b"x" * 300)
    print(number, flush=True)
"""


@pytest.mark.system
@pytest.mark.parametrize("kills", [12])
def test_what_append_returned_from_survives_kill_9(path, make, kills):
    promised = -1
    for round_number in range(kills):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(promised + 1)], stdout=subprocess.PIPE
        )
        for _ in range(1 + 3 * round_number):  # another moment each time
            promised = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
        promised = max([promised, *map(int, rest)])
        queue = make(100_000, 10**9)
        found = [int(key) for key in keys(queue)]
        # At most one more than was said: written, and killed before it was said.
        assert found[: promised + 1] == list(range(promised + 1))
        assert len(found) <= promised + 2
        promised = found[-1]
        assert queue.damaged == 0
        queue.close()
