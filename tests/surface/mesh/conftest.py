"""The one slow thing that tests of the mesh share: a home into which the history was imported."""

from support.homes import copy_of, imported

__all__ = ["copy_of", "imported"]
