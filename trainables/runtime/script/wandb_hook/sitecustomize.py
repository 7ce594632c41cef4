"""Watches for `import wandb` in a script, then imports the user's own `sitecustomize`."""

import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))


class WandbFinder:
    """Finds wandb as the other finders do, and has it patched when it is imported.

    If it is not installed, a small stand-in takes its place in a program that cannot do without.
    """

    def find_spec(self, name, path=None, target=None):  # type: ignore[no-untyped-def]
        """The spec of wandb; None for every other module."""
        if name.partition(".")[0] != "wandb" or "RAYSWEEP_REPORTS" not in os.environ:
            return None
        if FOLDER not in sys.path:
            sys.path.append(FOLDER)
        import raysweep_wandb_import

        return raysweep_wandb_import.find(self, name, path, target)


def import_next():  # type: ignore[no-untyped-def]
    """Import the `sitecustomize` that Python would have imported without this one."""
    own = sys.modules.pop("sitecustomize", None)
    sys.path[:] = [path for path in sys.path if os.path.abspath(path) != FOLDER]
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if getattr(error, "name", None) != "sitecustomize":
            raise
        if own is not None:
            sys.modules["sitecustomize"] = own
    finally:
        sys.path.insert(0, FOLDER)  # in front of what the other one has made of the path


if os.environ.get("RAYSWEEP_REPORTS"):
    sys.meta_path.insert(0, WandbFinder())
import_next()  # type: ignore[no-untyped-call]
