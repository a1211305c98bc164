"""Loggers: other tools that a run's results go to; one file each, and the folder is the registry, with the entry points
`rnncli.loggers` of installed packages. `train.log:` and `runs export --to` name the file.

A logger file defines `LOGGER`, a subclass of `Logger`. It imports the tool inside its methods, so that the
import costs nothing unless the logger is chosen.
"""

from __future__ import annotations

from rnncli.loggers._logger import LOGGERS as LOGGERS
from rnncli.loggers._logger import LoggedEpoch as LoggedEpoch
from rnncli.loggers._logger import LoggedResult as LoggedResult
from rnncli.loggers._logger import LoggedRun as LoggedRun
from rnncli.loggers._logger import Logger as Logger
from rnncli.loggers._logger import require as require
