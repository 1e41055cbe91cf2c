-- The verification of the ledger that the service was asked for last: how far it is, and what it found. It is no recorded
-- fact and no evidence: the row changes while it goes on, and makes room for the next one. Its verdict is noted in the
-- table `verification`, as that of `orderledger verify` is.
CREATE TABLE verification_run (
    number      bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    principal   text        COLLATE "C" NOT NULL,
    started_at  timestamptz NOT NULL,
    done        bigint      NOT NULL DEFAULT 0,        -- of so many steps; an event is two: it is read, and folded
    total       bigint      NOT NULL DEFAULT 0,        -- 0: not counted yet
    finished_at timestamptz,                           -- null: it goes on, or its process ended
    told        text                                   -- JSON: what was verified and found
);

GRANT UPDATE, DELETE ON verification_run TO orderledger_app;
