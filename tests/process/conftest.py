"""What an undisturbed import of the history comes to, for the tests that disturb one."""

from support.homes import copy_of, imported

__all__ = ["copy_of", "imported"]
