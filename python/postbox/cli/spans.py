"""Spans of time in words that are short."""

from __future__ import annotations

from datetime import timedelta


def span(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0, seconds):.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def ago(passed: timedelta) -> str:
    return f"{span(passed.total_seconds())} ago"


def until(left: timedelta) -> str:
    return f"in {span(left.total_seconds())}" if left > timedelta() else "now"
