"""``python -m tartlet_host``: the command line, as torchrun starts it."""

from tartlet_host.cli import main

if __name__ == "__main__":
    main()
