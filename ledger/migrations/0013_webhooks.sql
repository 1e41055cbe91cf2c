-- Whom the ledger tells by itself, and how far each has been told. These are settings and notes about deliveries, no
-- recorded facts: they change, and the last deliveries are kept, not all. A secret lies here as it is, because a signature
-- is made with it; the service shows it once.
CREATE TABLE webhook_endpoint (
    id                    text        COLLATE "C" NOT NULL PRIMARY KEY,
    url                   text        NOT NULL,
    description           text,
    event_types           text[]      NOT NULL,
    secret                text        NOT NULL,
    previous_secret       text,                           -- signs too until then, after a rotation
    previous_secret_until timestamptz,
    state                 text        COLLATE "C" NOT NULL CHECK (state IN ('active', 'disabled', 'failing')),
    state_reason          text,
    position              bigint      NOT NULL,           -- all events of its types up to here were delivered
    replay_after          bigint,                         -- those at (replay_after, replay_until] are to be delivered again
    replay_until          bigint,
    failures              integer     NOT NULL DEFAULT 0, -- attempts in a row, of the event that comes next
    next_attempt_at       timestamptz,                    -- null: at once
    created_at            timestamptz NOT NULL,
    created_by            text        NOT NULL
);

CREATE TABLE webhook_delivery (
    number       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint_id  text        COLLATE "C" NOT NULL REFERENCES webhook_endpoint ON DELETE CASCADE,
    message_id   text        COLLATE "C" NOT NULL,
    position     bigint,                                  -- null: a test
    attempt      integer     NOT NULL,
    at           timestamptz NOT NULL,
    outcome      text        COLLATE "C" NOT NULL,        -- one of ledger/webhooks.py
    status       integer,                                 -- what the receiver answered
    detail       text        NOT NULL,
    milliseconds integer     NOT NULL
);

CREATE INDEX webhook_delivery_of_endpoint ON webhook_delivery (endpoint_id, number);

GRANT UPDATE, DELETE ON webhook_endpoint, webhook_delivery TO orderledger_app;
