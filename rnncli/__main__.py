"""`python -m rnncli` is `rnncli`; torchrun starts it this way."""

from rnncli.cli import main

if __name__ == "__main__":
    main()
