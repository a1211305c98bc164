import subprocess
import sys
from pathlib import Path

import rnncli.data


def test_no_data_module_imports_torch() -> None:
    home = Path(rnncli.data.__file__).parent
    files = [path.relative_to(home).with_suffix("") for path in home.rglob("*.py")]
    names = sorted(".".join(path.parts) for path in files if path.name != "__init__")
    assert {"vocab", "made.grammar"} <= set(names)
    imports = "; ".join(f"import rnncli.data.{name}" for name in names)
    code = f"import sys; {imports}; sys.exit('torch' in sys.modules or 'rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_every_task_imports_is_light() -> None:
    """numpy alone takes half of what `--help` may take; tasks import these modules at their top."""
    code = "import sys; import rnncli.data.batch, rnncli.data.splits, rnncli.data.text, rnncli.data.vocab"
    assert (
        subprocess.run([sys.executable, "-c", f"{code}; sys.exit('numpy' in sys.modules)"], check=False).returncode == 0
    )
