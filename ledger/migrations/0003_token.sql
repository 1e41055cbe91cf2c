-- Bearer tokens olk_<id>_<secret>: the secret is shown once and kept only as its SHA-256.
CREATE TABLE token (
    id          text        NOT NULL PRIMARY KEY,
    secret_hash bytea       NOT NULL,
    principal   text        NOT NULL,
    roles       text[]      NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz,
    revoked_at  timestamptz
);
