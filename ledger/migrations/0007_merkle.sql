-- The Merkle tree's blocks of 256 leaves, kept as they are completed, in the transaction that completes them: proofs are
-- made without hashing the ledger anew, and what was changed behind the ledger's back is found at its position.
CREATE TABLE merkle_block (
    number bigint NOT NULL PRIMARY KEY,                -- 0, 1, 2 …: positions 256 number + 1 to 256 number + 256
    root   bytea  NOT NULL,                            -- RFC 6962 tree head of the block
    leaves bytea  NOT NULL                             -- the leaves' hashes, 32 bytes each
);
ALTER TABLE merkle_block ALTER leaves SET STORAGE EXTERNAL;

-- The blocks of a ledger that was there before.
CREATE TEMPORARY TABLE node ON COMMIT DROP AS
    SELECT position - 1 AS at, sha256('\x00'::bytea || convert_to(state, 'UTF8')) AS hash
    FROM event WHERE position <= (SELECT position / 256 * 256 FROM head);
INSERT INTO merkle_block (number, root, leaves)
    SELECT at / 256, '', string_agg(hash, '' ORDER BY at) FROM node GROUP BY at / 256;
DO $$
BEGIN
    FOR level IN 1..8 LOOP
        CREATE TEMPORARY TABLE above ON COMMIT DROP AS
            SELECT at / 2 AS at, sha256('\x01'::bytea || string_agg(hash, '' ORDER BY at)) AS hash
            FROM node GROUP BY at / 2;
        DROP TABLE node;
        ALTER TABLE above RENAME TO node;
    END LOOP;
END $$;
UPDATE merkle_block SET root = node.hash FROM node WHERE node.at = merkle_block.number;
DROP TABLE node;

CREATE TRIGGER merkle_block_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON merkle_block
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
ALTER TABLE merkle_block ENABLE ALWAYS TRIGGER merkle_block_is_immutable;
