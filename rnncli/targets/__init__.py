"""What a word on the command line means (TARGET), found once and opened once.

    from rnncli.targets import find_target
    target = find_target("last")
    target.run.result(), target.model, target.splits

An existing path, then `last` or a name under runs/, then a packaged recipe; `./x` is always a path. Finding needs no
torch; opening does.
"""

from rnncli.targets.find import RECIPES as RECIPES
from rnncli.targets.find import WEIGHTS as WEIGHTS
from rnncli.targets.find import Given as Given
from rnncli.targets.find import find_target as find_target
from rnncli.targets.find import target_of as target_of
from rnncli.targets.target import Target as Target
