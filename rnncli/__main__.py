"""`python -m rnncli` is `rnncli`; torchrun starts it this way."""

import signal

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `main` listens: no traceback of its imports

from rnncli.cli import main

if __name__ == "__main__":
    main()
