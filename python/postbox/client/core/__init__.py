"""What a client decides, without a network, a disk or a clock: values in, values out. A port to
another language begins here; docs/protocol/clients.md has the state machine in words, and
tests/data/conformance/clients what it must come to."""
