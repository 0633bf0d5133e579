"""`python -m composer` is the command `composer`."""

from composer.cli import main

if __name__ == "__main__":
    main()
