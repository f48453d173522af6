"""``python -m gonio`` is the ``gonio`` command."""

from gonio.cli.main import main

if __name__ == "__main__":
    main()
