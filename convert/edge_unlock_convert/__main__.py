"""``python -m edge_unlock_convert``."""

from edge_unlock_convert.cli import main

if __name__ == "__main__":
    main()
