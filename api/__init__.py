"""The way in and out: HTTP, pages and the command line. Flask, marshmallow and click are imported here only."""
