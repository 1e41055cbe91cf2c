"""GET the bundle of a period: a zip that an auditor verifies and recomputes without us."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from flask import Response, send_file
from marshmallow import Schema, fields

from api.access import allow, principal
from api.queries import await_projected
from api.routes import Routes
from api.same_site import check_recording_link
from ledger.checkpoints import issue
from ledger.refusal import Code
from ledger.store import Store
from projections.bundle import Wanted, check, export

MEDIA_TYPE = "application/zip"
_ONE_AT_A_TIME = threading.Lock()
"""An engine that makes Parquet takes memory of its own: a process makes one bundle at a time."""


class BundleQuery(Schema):
    """Which period."""

    period = fields.String(
        required=True,
        metadata={"description": "A period of the kind that the ledger closes, closed or open: 2026-Q1."},
    )


def blueprint(store: Store) -> Routes:
    """Make the routes over a ledger."""
    routes = Routes("bundles", __name__, description="What an auditor takes away.")

    @routes.get("/audit/bundle")
    @routes.query(BundleQuery)
    @routes.sends(MEDIA_TYPE, "The bundle: a folder whose README.md says what to run.")
    @routes.refuses(Code.not_a_closing_period, Code.nothing_recorded, Code.not_yet_projected)
    @routes.refuses(Code.signing_key_missing, Code.signing_key_unknown, Code.ledger_inconsistent)
    @allow("auditor", "finance")
    def get_bundle(query: dict[str, Any]) -> Response:
        """Give the bundle of a closing period, with every event, credit line and rule behind its figures, and proofs.

        A checkpoint of the ledger as it is now is issued for it.
        """
        check_recording_link()
        with _ONE_AT_A_TIME, TemporaryDirectory(prefix="orderledger-bundle-") as folder:
            wanted = Wanted(query["period"], Path(folder) / "bundle")
            period = check(store, wanted)
            assert period is not None, "the period is required"
            checkpoint = issue(store, actor=principal())
            await_projected(store, checkpoint.size)
            export(store, checkpoint, wanted)
            packed = _zipped(wanted.folder)
        return _attachment(packed, f"orderledger-{period.name}-{checkpoint.size}.zip")

    return routes


def _zipped(folder: Path) -> IO[bytes]:
    """Pack a folder into a file that has no name, so that it is gone when it is closed, whatever happens."""
    packed = TemporaryFile(prefix="orderledger-bundle-")  # noqa: SIM115 - it is closed when it is sent
    with ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                how = ZIP_STORED if path.suffix == ".parquet" else ZIP_DEFLATED
                archive.write(path, path.relative_to(folder).as_posix(), how)
    return packed


def _attachment(packed: IO[bytes], name: str) -> Response:
    """Send a file under a name, and close it when it is sent."""
    size = packed.tell()
    packed.seek(0)
    response = send_file(packed, MEDIA_TYPE, as_attachment=True, download_name=name)
    response.content_length = size
    response.call_on_close(packed.close)
    return response
