-- When a token was used last, so that an admin sees which ones nobody needs: noted at most once a minute by each process.
ALTER TABLE token ADD COLUMN last_used_at timestamptz;
GRANT UPDATE (last_used_at) ON token TO orderledger_app;

-- Sessions of browsers: what a cookie holds is kept only as its SHA-256. A session acts in the name and the roles of its
-- row, and ends with the token that was signed in with; without one (null) somebody else vouched for who it is.
CREATE TABLE session (
    secret_hash  bytea       NOT NULL PRIMARY KEY,
    token_id     text        REFERENCES token (id),
    principal    text        NOT NULL,
    roles        text[]      NOT NULL,
    created_at   timestamptz NOT NULL,
    last_used_at timestamptz NOT NULL,                 -- exact to a minute: a session that is not used ends
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz
);
CREATE INDEX session_expires ON session (expires_at);
GRANT UPDATE (last_used_at, revoked_at), DELETE ON session TO orderledger_app;
