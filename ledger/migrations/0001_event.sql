-- The ledger itself: immutable events in one gap-free order, and the one row that numbers them.

CREATE TABLE event (
    position     bigint      NOT NULL PRIMARY KEY,     -- 1, 2, 3 … with no gaps
    subject      text        COLLATE "C" NOT NULL,     -- the stream: order/SO-1, rulebook, customer/C-7
    version      integer     NOT NULL,                 -- place in the stream
    type         text        COLLATE "C" NOT NULL,     -- stable stored name: order.placed
    source       text        COLLATE "C" NOT NULL,     -- who numbered it …
    event_id     text        COLLATE "C" NOT NULL,     -- … and how: unique for ever, together
    actor        text        COLLATE "C" NOT NULL,     -- the principal that recorded it
    recorded_at  timestamptz NOT NULL,                 -- server clock; never decreases with position
    effective_on date        NOT NULL,                 -- the business day it applies to
    state        text        COLLATE "C" NOT NULL,     -- the exact bytes that are hashed: one JSON document
    CONSTRAINT event_subject_version UNIQUE (subject, version),
    CONSTRAINT event_source_event_id UNIQUE (source, event_id)
);

CREATE TABLE head (
    one              boolean     NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    position         bigint      NOT NULL,
    recorded_at      timestamptz NOT NULL,
    rulebook_version integer     NOT NULL,
    root             bytea       NOT NULL,             -- RFC 6962 tree head over the stored bytes
    frontier         bytea       NOT NULL              -- the peaks it is grown from, 32 bytes each
) WITH (fillfactor = 10);

-- sha256 of nothing is the root of the empty tree (RFC 6962, 2.1)
INSERT INTO head (position, recorded_at, rulebook_version, root, frontier)
VALUES (0, 'epoch', 0, sha256(''), '');

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'recorded events are immutable: % on % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Record a new event that corrects the old one.';
END $$;

CREATE TRIGGER event_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE event ENABLE ALWAYS TRIGGER event_is_immutable;

CREATE TRIGGER head_is_kept BEFORE DELETE OR TRUNCATE ON head
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE head ENABLE ALWAYS TRIGGER head_is_kept;

-- The same events for reading with psql: SELECT position, type, data->>'order_type' FROM event_data …
CREATE VIEW event_data AS
    SELECT position, subject, version, type, source, event_id, actor, recorded_at, effective_on,
           state::json -> 'data' AS data
    FROM event;
