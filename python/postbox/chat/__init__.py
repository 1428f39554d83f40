"""`postbox chat`: a small chat in a terminal, on the client library alone. It shows what an app
does with the library, and what the library gives: everything here is asked of `postbox.client`.

`plain`, `lines`, `wording`, `talk`, `listing` and `view` are pure: from what the library says to
lines of text. `desk` is what is on the screen, without a screen, and `drawing` where it stands
there. The rest is Textual's.
"""
