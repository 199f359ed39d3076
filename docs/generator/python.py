"""Public names, methods of FeatureStore and the tree of errors, read from the packages."""

import inspect
import re

import featurestore
import trainers
from docs.generator.text import escape, first_sentence, paragraphs, table
from featurestore import errors as errors_module
from featurestore.search.query import Query


def errors() -> str:
    """The tree of errors, as their module shows it."""
    _, _, tree = inspect.cleandoc(errors_module.__doc__ or "").partition("\n\n")
    return f"```\n{tree.strip()}\n```"


def python() -> str:
    """The public names of both packages, and the methods of FeatureStore."""
    parts = []
    for package in (featurestore, trainers):
        rows = []
        for name in package.__all__:
            member = getattr(package, name)
            doc = "the version" if isinstance(member, str) else inspect.getdoc(member)
            rows.append((f"`{package.__name__}.{name}`", escape(first_sentence(doc))))
        parts.append(table(("name", "what"), rows))
    parts.append("### FeatureStore")
    store = featurestore.FeatureStore
    inner = {name for base in store.__mro__ if base.__name__ == "Storage" for name in vars(base)} - {"open"}
    for name, method in inspect.getmembers(store, callable):
        if not name.startswith("_") and name not in inner:
            signature = inspect.signature(method)
            if inspect.isfunction(inspect.getattr_static(store, name)):  # its first parameter is the store
                signature = signature.replace(parameters=list(signature.parameters.values())[1:])
            parts.append(
                f"**`{name}`**\n\n```python\n{name}{_plain(str(signature))}\n```\n\n{paragraphs(inspect.getdoc(method) or '')}"
            )
    return "\n\n".join(parts)


def _plain(signature: str) -> str:
    """A signature with the short names of its types."""
    signature = signature.replace(inspect.formatannotation(Query), "Query")
    signature = re.sub(r"(?:\w+\.)+(?=[A-Za-z])", "", signature)
    return re.sub(r"ndarray\[tuple\[Any, \.\.\.\], dtype\[(\w+)(\[Any\])?\]\]", r"NDArray[\1]", signature)
