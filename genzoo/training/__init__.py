"""From what was asked for to a trained run: the plan, the story, what a plugin sees, what happens between two steps."""

import sys
import warnings
from contextlib import suppress

if "IPython" in sys.modules:  # accelerate brings tqdm, which in a notebook asks for ipywidgets; genzoo needs none
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.filterwarnings("ignore", "IProgress not found")
        import tqdm.auto  # noqa: F401
