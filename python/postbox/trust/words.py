"""Words that names are made of when the operator gives none: short, plain, easy to say aloud."""

from __future__ import annotations

FIRST = (
    "amber", "azure", "bold", "brave", "brisk", "bright", "calm", "cedar",
    "civil", "clear", "cool", "coral", "crisp", "deft", "dusky", "eager",
    "early", "fair", "fleet", "fresh", "frosty", "gentle", "glad", "golden",
    "grand", "gusty", "happy", "hardy", "hazel", "honest", "humble", "ivory",
    "jade", "jolly", "keen", "kind", "lively", "loyal", "lucid", "lunar",
    "mellow", "merry", "mild", "misty", "modest", "neat", "noble", "olive",
    "opal", "plain", "proud", "quick", "quiet", "rapid", "rosy", "ruby",
    "silver", "sleek", "solar", "steady", "sunny", "tidy", "vivid", "warm",
)  # fmt: skip

SECOND = (
    "acorn", "badger", "beacon", "birch", "bridge", "brook", "canyon", "castle",
    "clover", "comet", "creek", "crane", "delta", "dove", "eagle", "ember",
    "falcon", "fern", "field", "finch", "forest", "fox", "garden", "glade",
    "grove", "harbor", "hawk", "heron", "hill", "island", "ivy", "juniper",
    "kestrel", "lagoon", "lake", "lark", "lily", "lynx", "maple", "marsh",
    "meadow", "mill", "moon", "moss", "oak", "otter", "owl", "pebble",
    "pine", "pond", "prairie", "raven", "reef", "ridge", "river", "robin",
    "shore", "sparrow", "spruce", "stone", "swift", "thistle", "tower", "willow",
)  # fmt: skip
