"""The eventsourcing library's published conformance tests, run on our recorders.

Left out: its AggregateRecorderTestCase, which is for recorders without positions; ours always have them.
"""

from uuid import uuid4

import pytest
from eventsourcing.tests import persistence as published
from eventsourcing.utils import Environment

from ledger.database import Database
from ledger.recorders import (
    PostgresApplicationRecorder,
    PostgresFactory,
    PostgresProcessRecorder,
    PostgresTrackingRecorder,
)

pytestmark = pytest.mark.filterwarnings("default")


class _OnADatabase:
    database: Database

    @pytest.fixture(autouse=True)
    def _give_database(self, database: Database) -> None:
        self.database = database

    def new_originator_id(self) -> str:
        """Name a stream; ours are strings."""
        return str(uuid4())


class TestApplicationRecorder(_OnADatabase, published.ApplicationRecorderTestCase[PostgresApplicationRecorder]):
    """Appending, reading, concurrency and subscriptions."""

    def create_recorder(self) -> PostgresApplicationRecorder:
        """Make the recorder under test."""
        return PostgresApplicationRecorder(self.database)

    def test_insert_subscribe(self) -> None:
        """Run the published optional test of subscriptions."""
        self.optional_test_insert_subscribe()


class TestNonInterleaving(_OnADatabase, published.NonInterleavingNotificationIDsBaseCase):
    """Two concurrent appends do not interleave their positions."""

    def create_recorder(self) -> PostgresApplicationRecorder:
        """Make the recorder under test."""
        return PostgresApplicationRecorder(self.database)


class TestTrackingRecorder(_OnADatabase, published.TrackingRecorderTestCase):
    """Readers' positions only move on."""

    def create_recorder(self) -> PostgresTrackingRecorder:
        """Make the recorder under test."""
        return PostgresTrackingRecorder(self.database)


class TestProcessRecorder(_OnADatabase, published.ProcessRecorderTestCase):
    """Events and a reader's position in one transaction."""

    def create_recorder(self) -> PostgresProcessRecorder:
        """Make the recorder under test."""
        return PostgresProcessRecorder(self.database)


class TrackingSubclass(PostgresTrackingRecorder):
    """A user's own recorder, for the factory to build."""


class TestFactory(_OnADatabase, published.InfrastructureFactoryTestCase[PostgresFactory]):
    """The factory builds our recorders from an environment."""

    def setUp(self) -> None:
        """Name our module and database in the environment."""
        self.env = Environment("Orders")
        self.env["PERSISTENCE_MODULE"] = "ledger.recorders"
        self.env["ORDERLEDGER_DATABASE_URL"] = self.database.url
        super().setUp()

    def expected_factory_class(self) -> type[PostgresFactory]:
        """Name ours."""
        return PostgresFactory

    def expected_aggregate_recorder_class(self) -> type[PostgresApplicationRecorder]:
        """Name ours: one recorder serves both."""
        return PostgresApplicationRecorder

    def expected_application_recorder_class(self) -> type[PostgresApplicationRecorder]:
        """Name ours."""
        return PostgresApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[PostgresTrackingRecorder]:
        """Name ours."""
        return PostgresTrackingRecorder

    def tracking_recorder_subclass(self) -> type[PostgresTrackingRecorder]:
        """Name a subclass."""
        return TrackingSubclass

    def expected_process_recorder_class(self) -> type[PostgresProcessRecorder]:
        """Name ours."""
        return PostgresProcessRecorder
