"""A package for pytest too: without this file what is made once for the package would stay open to
the end of the session, and with it playwright's loop, under every test that comes behind."""
