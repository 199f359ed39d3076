"""What is not installed with featurestore by itself, and is asked for only where it is needed."""

import importlib.util

from featurestore.errors import ConfigError


def need(*modules: str, extra: str) -> None:
    """Check that modules can be imported. Raises ConfigError, which says how to install them."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"this needs {', '.join(missing)}, which is not installed: pip install 'featurestore[{extra}]'"
        )
