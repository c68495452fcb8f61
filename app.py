"""The browser demo: `python app.py [--model NAME|FOLDER] [--host H] [--port N]`."""

import sys

from pipeline.studio.app import main

if __name__ == "__main__":
    sys.exit(main())
