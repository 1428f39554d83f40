"""With CI=true every real component is required: a test that would skip for want of one fails."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from support.failing_sync import failing_sync
from support.homes import copy_of, imported
from support.mosquitto import mosquitto
from support.postgres import database, own_postgres, pair, place, postgres

# Slow to make, so made once for all folders.
__all__ = [
    "copy_of",
    "database",
    "failing_sync",
    "imported",
    "mosquitto",
    "own_postgres",
    "pair",
    "place",
    "postgres",
]

REQUIRED = os.environ.get("CI") == "true"

# Which examples are tried depends neither on chance nor on how fast a machine is: what has passed
# passes again. `pytest --hypothesis-profile=wider` tries others each time, ten times as many.
settings.register_profile(
    "same",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "wider", settings.get_profile("same"), derandomize=False, max_examples=1_000
)
settings.load_profile("same")


def pytest_configure() -> None:
    """What a shell starts in the background ignores SIGINT, and so would all that tests start and
    interrupt. A program begins with the default for a signal that its parent handles."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _require(report)
    # A worker of pytest-xdist sends it on as UTF-8, and tests log what is none.
    report.sections = [(head, _encodable(text)) for head, text in report.sections]
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _require(report)
    return report


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def _require(report: pytest.TestReport | pytest.CollectReport) -> None:
    if REQUIRED and report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}; with CI=true every real component is required"
