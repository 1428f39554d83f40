"""Texts that a stranger sends to break a screen, or to look like somebody else."""

from __future__ import annotations

ESC = "\x1b"

TEXTS = {
    "clears the screen": f"{ESC}[2J{ESC}[H",
    "sets the title": f"{ESC}]0;owned\x07",
    "writes to the clipboard": f"{ESC}]52;c;cm0gLXJm{ESC}\\",
    "one-byte control sequences": "\x9b31m red \x9d0;title\x9c",
    "goes back and writes over": "fine\rEVIL\b\b\b\b",
    "moves up lines": f"a{ESC}M{ESC}[5A",
    "rings": "\a" * 50,
    "deletes": "\x7f" * 10,
    "shifts to another set": "\x0e lqqk \x0f",
    "markup of rich": "[bold red]x[/bold red] [link=https://evil.example]here[/link] [/] [",
    "markup with an action": "[@click=app.quit]here[/]",
    "turns the direction": "\u202egnp.exe\u202c \u2067x\u2069 \u200f\u061c",
    "letters from the right": "שלום עולם سلام",
    "wide": "漢字かな交じり文" * 20,
    "wide at an odd width": "a" + "漢" * 100,
    "one long word": "x" * 5_000,
    "marks piled up": "Z" + "\u0310\u0343\u033f" * 40,
    "a mark without a base": "\u0301\u0301 x\n\u0336y",
    "joined emoji": "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇩🇪 ❤️",
    "flags cut in two": "🇩",
    "nothing to see": "\u200b\u200b\u2060\ufeff\u00ad",
    "tags": "\U000e0041\U000e007f",
    "private and unknown signs": "\ue000 \U0010ffff \u0378",
    "halves of signs": "\ud800 \udfff",
    "tabs": "\t\tx\ty",
    "a thousand lines": "\n" * 1_000,
    "line ends of all kinds": "a\r\nb\vc\fd\x85e\u2028f\u2029g",
    "empty": "",
    "blanks": "   \u3000  \u00a0 ",
    "large": "word " * 13_000,
}
