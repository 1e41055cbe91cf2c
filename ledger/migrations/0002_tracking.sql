-- Where each reader of the ledger stands; a reader's rows and its position change in one transaction.
CREATE TABLE tracking (
    application_name text   NOT NULL PRIMARY KEY,
    notification_id  bigint NOT NULL
) WITH (fillfactor = 50);
