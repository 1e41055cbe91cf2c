-- What `orderledger verify` found, each time, so that the service can say how old the last verdict is. Rows are only ever
-- added. It is a note for operators, not evidence: who can write here can write a verdict; an auditor verifies anew.
CREATE TABLE verification (
    number       bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    finished_at  timestamptz NOT NULL,
    principal    text        COLLATE "C" NOT NULL,
    size         bigint      NOT NULL,                 -- so many events were read
    root         bytea       NOT NULL,                 -- the root that the events as they are lead to
    findings     integer     NOT NULL,                 -- 0: sound
    milliseconds bigint      NOT NULL
);

CREATE TRIGGER verification_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON verification
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE verification ENABLE ALWAYS TRIGGER verification_is_immutable;
