"""The browser demo: `python app.py [--model NAME|FOLDER] [--host H] [--port N]`."""

import sys

from pipeline import check_interpreter

check_interpreter()  # before anything that an old Python cannot read

from pipeline.studio.app import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
