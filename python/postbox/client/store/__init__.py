"""A device's file: its queue, and what the host said. SQLite, synchronous."""
