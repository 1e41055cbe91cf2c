-- Who read and did what, beside the ledger: rows are only ever added, as in event, but no proof covers them.
-- Owner and grants are those of every later table (0006_roles.sql): the application may read and add.
CREATE TABLE access (
    number     bigint      NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    channel    text        COLLATE "C" NOT NULL,       -- http or cli
    action     text        COLLATE "C" NOT NULL,       -- one of ledger/access_log.py
    outcome    text        COLLATE "C" NOT NULL,       -- done, or the code of the refusal
    principal  text        COLLATE "C",                -- null: nobody known
    token_id   text        COLLATE "C",                -- of a token there is, whether it was valid or not
    subject    text        COLLATE "C" NOT NULL,       -- what: a route with its period, a token; never a secret
    request_id text        COLLATE "C",
    address    text        COLLATE "C",                -- who was at the other end of the connection
    times      integer     NOT NULL DEFAULT 1          -- how many of the same this row stands for
);

CREATE INDEX access_at ON access (at);
CREATE INDEX access_sign_in ON access (token_id, at) WHERE action = 'signed_in';

CREATE TRIGGER access_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON access
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE access ENABLE ALWAYS TRIGGER access_is_immutable;
