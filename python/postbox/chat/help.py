"""What the keys do."""

from __future__ import annotations

STATES = (
    "Yours are sending (in the queue here), sent (the host has them for good), delivered or read"
    " (by every other member), or failed."
)

HELP = (
    ("Enter", "sends; opens what is chosen"),
    ("Ctrl+J", "a new line in what you write"),
    ("Tab", "from part to part"),
    ("Escape", "drops a reply or an edit; to the list"),
    ("Alt+Up Alt+Down", "the conversation above, below"),
    ("Ctrl+N F2", "new conversation"),
    ("Ctrl+O F3", "people: add, rename, leave"),
    ("Ctrl+T F4", "what waits to be sent, and why"),
    ("Ctrl+L F6", "invites and guilds"),
    ("F5", "connects now; signs in again"),
    ("Ctrl+Q", "ends"),
    ("", ""),
    ("", "In the messages (Up, or Tab); above the first one older ones are fetched:"),
    ("r  +", "replies, reacts"),
    ("e  d", "edits, deletes yours"),
    ("t  x", "tries one that failed again, drops it"),
    ("Enter", "shows all of it: text, who, when, why"),
    ("", ""),
    ("", STATES),
)
"""Keys, and what they do; or a text."""
