-- The keys that clients gave to requests without a natural identity, so that a repetition is answered, not recorded
-- again. The row of a request that records events is written in the transaction that appends them. It is a memory for
-- clients that try again, no recorded fact: answers are filled in afterwards, and old keys go (ledger/idempotency.py).
CREATE TABLE idempotency (
    principal   text        COLLATE "C" NOT NULL,      -- whose key it is
    key         text        COLLATE "C" NOT NULL,
    fingerprint bytea       NOT NULL,                  -- SHA-256 of method, path, query and body
    position    bigint,                                -- of the first event appended; null: none was
    created_at  timestamptz NOT NULL,
    status      integer,                               -- of the answer; null: the process ended before it was made
    etag        text        COLLATE "C",
    media_type  text        COLLATE "C",
    answer      text        COLLATE "C",
    language    text        COLLATE "C",               -- in which the answer is told
    PRIMARY KEY (principal, key)
);

CREATE INDEX idempotency_created_at ON idempotency (created_at);

GRANT UPDATE (status, etag, media_type, answer, language), DELETE ON idempotency TO orderledger_app;
