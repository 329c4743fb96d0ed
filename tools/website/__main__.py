"""The site: documents, lessons with the outputs of a real run, and the API, as pages in out/docs/html.

`make docs`. Nothing is asked of the internet, neither now nor by a page that is opened later; warnings are
errors.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from pages import stage_site

TREE = Path(__file__).resolve().parents[2]
OUT = TREE / "out/docs"


def main() -> int:
    """Build the site and say where it is; the exit status is Sphinx's own."""
    begun = time.monotonic()
    stage_site(TREE, OUT / "source", OUT / "lessons")
    sphinx = (sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "--fresh-env")
    done = subprocess.run((*sphinx, OUT / "source", OUT / "html"), check=False)
    if done.returncode == 0:
        sys.stdout.write(f"{OUT / 'html/index.html'} ({time.monotonic() - begun:.0f} s)\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
