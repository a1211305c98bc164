from tests.training.conftest import small_lm as small_lm
from tests.training.conftest import text_file as text_file
