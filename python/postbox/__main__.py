"""`python -m postbox`."""

from postbox.cli.main import main

main()
