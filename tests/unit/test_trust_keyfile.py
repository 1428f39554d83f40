"""The key file: made once, private from the first byte, whole or not there."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from postbox.trust.keyfile import FILE_NAME, KeyFileError, load_identity, open_identity
from postbox.trust.keys import identity_of
from postbox.world import SystemRandom


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def test_the_first_use_makes_the_key_and_every_other_one_finds_it(home: Path) -> None:
    made = open_identity(home, SystemRandom())
    assert open_identity(home, SystemRandom()) == made
    assert load_identity(home / FILE_NAME) == made
    assert [file.name for file in home.iterdir()] == [FILE_NAME]


def test_the_given_name_is_the_nodes(home: Path) -> None:
    assert open_identity(home, SystemRandom(), "alice").name == "alice"
    assert open_identity(home, SystemRandom(), "alice").name == "alice"
    assert open_identity(home, SystemRandom()).name == "alice"


def test_another_name_for_a_home_that_has_one_is_refused(home: Path) -> None:
    open_identity(home, SystemRandom(), "alice")
    with pytest.raises(KeyFileError, match=r"holds the key of 'alice', not of 'bob'.*another home"):
        open_identity(home, SystemRandom(), "bob")


def test_a_name_that_is_none_makes_no_file(home: Path) -> None:
    with pytest.raises(KeyFileError, match="cannot be a name"):
        open_identity(home, SystemRandom(), "a:b")
    assert not (home / FILE_NAME).exists()


def test_only_the_owner_can_read_the_file_whatever_the_umask(home: Path) -> None:
    before = os.umask(0)
    try:
        open_identity(home, SystemRandom())
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / FILE_NAME).stat().st_mode) == 0o600


_TELL_MODES = """
import os, sys
from pathlib import Path
from postbox.trust.keyfile import open_identity
from postbox.world import SystemRandom
def audit(event, args):
    if event == "open" and args[0] and ".key" in str(args[0]) and args[2] & os.O_CREAT:
        print(oct(args[2] & (os.O_CREAT | os.O_EXCL)))
real = os.write
def write(file, data):
    print(oct(os.fstat(file).st_mode & 0o777))
    return real(file, data)
os.umask(0)
os.write = write
sys.addaudithook(audit)
open_identity(Path(sys.argv[1]), SystemRandom())
"""


def test_the_file_is_private_before_its_first_byte_is_written(home: Path) -> None:
    told = _run(_TELL_MODES, home)
    assert told.returncode == 0
    assert told.stdout.split() == [oct(os.O_CREAT | os.O_EXCL), "0o600"]


_DIE_IN = """
import os, sys
from pathlib import Path
from postbox.trust.keyfile import open_identity
from postbox.world import SystemRandom
call, times = sys.argv[2], int(sys.argv[3])
real = getattr(os, call)
def die(*args):
    global times
    times -= 1
    if times == 0:
        if call == "write":
            real(args[0], bytes(args[1])[:20])
        os._exit(9)
    return real(*args)
setattr(os, call, die)
open_identity(Path(sys.argv[1]), SystemRandom(), "first")
"""


@pytest.mark.parametrize(
    ("call", "times", "is_made"),
    [
        ("write", 1, False),
        ("fsync", 1, False),
        ("link", 1, False),
        ("unlink", 1, True),
        ("fsync", 2, True),
    ],
)
def test_a_process_killed_on_the_way_leaves_a_whole_key_or_none(
    home: Path, call: str, times: int, is_made: bool
) -> None:
    assert _run(_DIE_IN, home, call, str(times)).returncode == 9
    assert (home / FILE_NAME).exists() == is_made
    if is_made:
        assert load_identity(home / FILE_NAME).name == "first"
    else:
        assert open_identity(home, SystemRandom(), "second").name == "second"


def test_of_two_makers_at_once_both_get_the_first_ones_key(home: Path) -> None:
    class Slow:
        """Somebody else makes the key while this one draws numbers for its own."""

        def bytes(self, count: int) -> bytes:
            open_identity(home, SystemRandom(), "first")
            return SystemRandom().bytes(count)

    assert open_identity(home, Slow()).name == "first"
    assert load_identity(home / FILE_NAME).name == "first"
    assert len(list(home.iterdir())) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o777])
def test_a_file_that_others_can_reach_is_refused_with_the_remedy(home: Path, mode: int) -> None:
    open_identity(home, SystemRandom())
    path = home / FILE_NAME
    path.chmod(mode)
    with pytest.raises(KeyFileError, match=f"mode {mode:04o}.*chmod 600 {path}"):
        open_identity(home, SystemRandom())


def test_a_file_that_its_owner_may_only_read_is_fine(home: Path) -> None:
    made = open_identity(home, SystemRandom())
    (home / FILE_NAME).chmod(0o400)
    assert open_identity(home, SystemRandom()) == made


_ALICE = identity_of("alice", b"a" * 32)
_BOB = identity_of("bob", b"b" * 32)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not what postbox wrote"),
        (b"\xff\xfe\x00", "not what postbox wrote"),
        (b"[]", "not what postbox wrote"),
        (b'{"name": "alice"}', "not what postbox wrote"),
        (b'{"name": "\xff", "soul": "x"}', "not what postbox wrote"),
        (b'{"name": "alice", "soul": 5}', "not what postbox wrote"),
        (b'{"name": "alice", "soul": "x", "more": 1}', "not what postbox wrote"),
        (json.dumps({"name": "alice", "soul": _BOB.soul_text}).encode(), "does not belong"),
        (json.dumps({"name": "alice", "soul": _ALICE.soul_text[:-3]}).encode(), "not 40"),
        (json.dumps({"name": "alice", "soul": _ALICE.soul_text}).encode()[:-9], "postbox wrote"),
        (b" " * 5000 + b"{}", "not what postbox wrote"),
    ],
)
def test_a_damaged_file_is_an_error_that_says_what_to_do_and_stays_as_it_is(
    home: Path, raw: bytes, reason: str
) -> None:
    home.mkdir()
    path = home / FILE_NAME
    path.touch(0o600)
    path.write_bytes(raw)
    with pytest.raises(KeyFileError, match=f"damaged.*{reason}.*Put back a copy") as caught:
        open_identity(home, SystemRandom())
    assert path.read_bytes() == raw
    for soul in (_ALICE.soul_text, _BOB.soul_text):
        assert soul[:20] not in str(caught.value)


def test_what_is_not_a_file_is_named_and_not_waited_for(home: Path) -> None:
    home.mkdir()
    os.mkfifo(home / FILE_NAME, 0o600)
    with pytest.raises(KeyFileError, match="is not a file"):
        open_identity(home, SystemRandom())


def test_a_home_that_can_not_be_written_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(KeyFileError, match=rf"{tmp_path}/taken/home/{FILE_NAME}"):
        open_identity(tmp_path / "taken" / "home", SystemRandom())


def test_no_text_form_of_what_is_in_the_file_shows_the_soul(home: Path) -> None:
    from postbox.trust import keyfile

    contents = keyfile._Contents(_ALICE.name, _ALICE.soul_text)
    assert _ALICE.soul_text not in repr(contents)


def _run(script: str, *args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)
