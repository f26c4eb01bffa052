"""``python -m autograd_mini``: the command line."""

from autograd_mini.command_line import main

if __name__ == "__main__":
    raise SystemExit(main())
