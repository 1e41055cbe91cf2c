-- Files that wait to be imported. Nothing here is recorded: what is imported becomes events, and these rows are dropped
-- some days after (ledger/staging.py); so the application may change and delete them.
CREATE TABLE import (
    id          text        COLLATE "C" PRIMARY KEY,
    name        text        COLLATE "C" NOT NULL,
    form        text        COLLATE "C" NOT NULL,      -- csv, xlsx or ndjson
    actor       text        COLLATE "C" NOT NULL,      -- who uploaded it, and who committed it
    state       text        COLLATE "C" NOT NULL,      -- one of ledger/staging.py
    sha256      text        COLLATE "C" NOT NULL,
    size        bigint      NOT NULL,                  -- bytes
    given       text        NOT NULL,                  -- JSON: the profile as it was given
    told        text        NOT NULL DEFAULT '{}',     -- JSON: the proposal, and what judging found
    judged_at   bigint      NOT NULL DEFAULT 0,        -- the ledger's position at which the rows were judged
    done_line   bigint      NOT NULL DEFAULT -1,       -- orders that begin up to this line are dealt with; -1: none was tried
    done        bigint      NOT NULL DEFAULT 0,        -- so many orders
    recorded    bigint      NOT NULL DEFAULT 0,
    duplicates  bigint      NOT NULL DEFAULT 0,
    refused     bigint      NOT NULL DEFAULT 0,        -- judged good, and refused when they were to be recorded
    is_partial  boolean     NOT NULL DEFAULT false,    -- the good rows are accepted, whatever the others are
    begun_at    bigint      NOT NULL DEFAULT 0,        -- the ledger's position when committing began
    created_at  timestamptz NOT NULL,
    changed_at  timestamptz NOT NULL
);

CREATE TABLE import_chunk (
    import_id text    COLLATE "C" NOT NULL REFERENCES import ON DELETE CASCADE,
    number    integer NOT NULL,
    content   bytea   NOT NULL,
    PRIMARY KEY (import_id, number)
);

CREATE TABLE import_row (
    import_id text    COLLATE "C" NOT NULL REFERENCES import ON DELETE CASCADE,
    line      bigint  NOT NULL,                        -- the file's line on which the row begins
    order_id  text    COLLATE "C",                     -- null: the row names no order
    cells     text    NOT NULL,                        -- JSON: the cells as the file has them
    rejected  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (import_id, line)
);

CREATE INDEX import_row_order ON import_row (import_id, order_id);

CREATE TABLE import_problem (
    import_id   text   COLLATE "C" NOT NULL REFERENCES import ON DELETE CASCADE,
    number      bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    line        bigint NOT NULL,
    column_name text,
    code        text   COLLATE "C" NOT NULL,
    detail      text   NOT NULL,
    PRIMARY KEY (import_id, line, number)
);

CREATE TABLE import_profile (
    name       text        COLLATE "C" PRIMARY KEY,
    profile    text        NOT NULL,                   -- JSON
    actor      text        COLLATE "C" NOT NULL,
    changed_at timestamptz NOT NULL
);

GRANT UPDATE, DELETE ON import, import_chunk, import_row, import_problem, import_profile TO orderledger_app;
