"""Writing the OpenAPI document to docs/openapi.json: python -m api.openapi_file (make openapi). Needs no database."""

import json
from pathlib import Path
from typing import Final

from api.app import Config, create_app

FILE: Final = Path(__file__).parent.parent / "docs" / "openapi.json"


def text() -> str:
    """Give the document as it is committed: sorted, so that a difference is read as what has changed."""
    app = create_app(Config("postgresql://127.0.0.1:1/none"))
    return json.dumps(app.described(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
