"""TARGET on the command line: what it refers to, resolved and opened once.

    from rnncli.targets import find_target
    target = find_target("last")
    target.run.result(), target.model, target.splits

Order: an existing path, `last` or a name under runs/, a packaged recipe; `./x` is always a path. Resolving does not
need torch; opening does.
"""

from rnncli.targets.find import RECIPES as RECIPES
from rnncli.targets.find import WEIGHTS as WEIGHTS
from rnncli.targets.find import Given as Given
from rnncli.targets.find import find_target as find_target
from rnncli.targets.find import target_of as target_of
from rnncli.targets.target import Target as Target
