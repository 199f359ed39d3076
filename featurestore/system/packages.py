"""Optional packages, which are checked for where they are needed."""

import importlib.util

from featurestore.errors import ConfigError


def require(*modules: str, extra: str) -> None:
    """Check that modules can be imported. Raises ConfigError with the command that installs them."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this needs {', '.join(missing)}, which is not installed: pip install 'featurestore[{extra}]'"
        )
