"""`python -m labkit` is `labkit`."""

from labkit.cli.main import main

if __name__ == "__main__":
    main()
