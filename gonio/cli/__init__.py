"""The ``gonio`` command."""
