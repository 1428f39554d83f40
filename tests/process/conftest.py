"""The command, called in the process of the tests."""

from __future__ import annotations

import pytest

from postbox.cli.main import main
from support.command import Call, Done


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """For the many calls that end soon, and would else cost the start of a process each."""
    monkeypatch.delenv("POSTBOX_HOME", raising=False)

    def call(*words: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, out, err)

    return call
