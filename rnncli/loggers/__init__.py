"""Loggers pass a run's results to other tools; one file each. The folder is the registry, together with the entry
points `rnncli.loggers` of installed packages. `train.log:` and `runs export --to` take the file's name.

A logger file defines `LOGGER`, a subclass of `Logger`. It imports the tool inside its methods, so that importing costs
nothing unless the logger is used.
"""

from __future__ import annotations

from rnncli.loggers._logger import LOGGERS as LOGGERS
from rnncli.loggers._logger import LoggedEpoch as LoggedEpoch
from rnncli.loggers._logger import LoggedResult as LoggedResult
from rnncli.loggers._logger import LoggedRun as LoggedRun
from rnncli.loggers._logger import Logger as Logger
from rnncli.loggers._logger import require as require
