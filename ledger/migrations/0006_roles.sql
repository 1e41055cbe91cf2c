-- Who may do what. Two roles without login, made by the runner (ledger/roles.py) before this text:
--   orderledger_owner  owns what is here, and is nobody: only migrations act as it
--   orderledger_app    is what the service acts as: it reads and records, and changes nothing that is recorded
--
-- Later migrations run as orderledger_owner, so their tables are its own, and the default privileges below give
-- orderledger_app SELECT and INSERT on them, no more. A table of recorded facts adds only the trigger:
--     CREATE TRIGGER x_is_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON x
--         FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
--     ALTER TABLE x ENABLE ALWAYS TRIGGER x_is_immutable;
-- and one that is no fact grants what else it needs: GRANT UPDATE, DELETE ON y TO orderledger_app.

GRANT USAGE, CREATE ON SCHEMA public TO orderledger_owner;
GRANT USAGE ON SCHEMA public TO orderledger_app;
DO $$ BEGIN
    IF has_schema_privilege('public', 'CREATE WITH GRANT OPTION') THEN
        REVOKE CREATE ON SCHEMA public FROM PUBLIC;      -- before PostgreSQL 15 everybody may, by default
    END IF;
END $$;

ALTER DEFAULT PRIVILEGES FOR ROLE orderledger_owner IN SCHEMA public GRANT SELECT, INSERT ON TABLES TO orderledger_app;
ALTER DEFAULT PRIVILEGES FOR ROLE orderledger_owner IN SCHEMA public GRANT USAGE ON SEQUENCES TO orderledger_app;
ALTER DEFAULT PRIVILEGES FOR ROLE orderledger_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- The way to the head row: hold it, then let it grow. The rule is the table's own, so that it binds everybody.
-- Names in these functions mean pg_catalog's whatever the caller's search path is, and tables are named in full.
CREATE FUNCTION refuse_unless_head_grows() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.position <= OLD.position OR NEW.recorded_at < OLD.recorded_at
        OR NEW.rulebook_version < OLD.rulebook_version OR octet_length(NEW.root) <> 32
        OR (NEW.position, NEW.recorded_at) IS DISTINCT FROM
            (SELECT (event.position, event.recorded_at) FROM public.event ORDER BY event.position DESC LIMIT 1)
    THEN
        RAISE EXCEPTION 'recorded events are immutable: the head cannot go from position % to %',
            OLD.position, NEW.position
            USING ERRCODE = 'restrict_violation', HINT = 'It grows to the last event, and never back.';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER head_grows BEFORE UPDATE ON head FOR EACH ROW EXECUTE FUNCTION refuse_unless_head_grows();
ALTER TABLE head ENABLE ALWAYS TRIGGER head_grows;

CREATE FUNCTION lock_head() RETURNS SETOF head ROWS 1
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY SELECT * FROM public.head FOR UPDATE;
END $$;

CREATE FUNCTION store_head(
    new_position bigint, new_recorded_at timestamptz, new_rulebook_version integer, new_root bytea, new_frontier bytea
) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE public.head SET position = new_position, recorded_at = new_recorded_at,
        rulebook_version = new_rulebook_version, root = new_root, frontier = new_frontier;
END $$;

-- The generations of the projection: schemas of these names only, in which orderledger_app makes its tables. So it
-- needs no right to make others, whose names ("postgres") would stand before public in somebody's search path.
CREATE FUNCTION create_projection_schema(generation integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE SCHEMA %I', concat('projection_', generation));
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO orderledger_app', concat('projection_', generation));
END $$;

CREATE FUNCTION drop_projection_schema(generation integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', concat('projection_', generation));
END $$;

-- What is there changes hands: this schema's things to the owner, the generations' tables to the application.
ALTER FUNCTION refuse_change() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION refuse_change() OWNER TO orderledger_owner;
ALTER FUNCTION refuse_unless_head_grows() OWNER TO orderledger_owner;
ALTER FUNCTION lock_head() OWNER TO orderledger_owner;
ALTER FUNCTION store_head(bigint, timestamptz, integer, bytea, bytea) OWNER TO orderledger_owner;
ALTER FUNCTION create_projection_schema(integer) OWNER TO orderledger_owner;
ALTER FUNCTION drop_projection_schema(integer) OWNER TO orderledger_owner;
ALTER VIEW event_data OWNER TO orderledger_owner;
ALTER TABLE event OWNER TO orderledger_owner;
ALTER TABLE head OWNER TO orderledger_owner;
ALTER TABLE migration OWNER TO orderledger_owner;
ALTER TABLE tracking OWNER TO orderledger_owner;
ALTER TABLE token OWNER TO orderledger_owner;
ALTER TABLE projection OWNER TO orderledger_owner;

DO $$
DECLARE
    schema text;
    relation oid;
BEGIN
    FOR schema IN SELECT nspname FROM pg_namespace JOIN projection ON nspname = concat('projection_', generation) LOOP
        EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO orderledger_app', schema);
        FOR relation IN SELECT oid FROM pg_class WHERE relnamespace = schema::regnamespace AND relkind = 'r' LOOP
            EXECUTE format('ALTER TABLE %s OWNER TO orderledger_app', relation::regclass);
        END LOOP;
        EXECUTE format('ALTER SCHEMA %I OWNER TO orderledger_owner', schema);
    END LOOP;
END $$;

REVOKE ALL ON FUNCTION refuse_change(), refuse_unless_head_grows(), lock_head(),
    store_head(bigint, timestamptz, integer, bytea, bytea),
    create_projection_schema(integer), drop_projection_schema(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lock_head(), store_head(bigint, timestamptz, integer, bytea, bytea),
    create_projection_schema(integer), drop_projection_schema(integer) TO orderledger_app;
REVOKE ALL ON event, head, migration, event_data, tracking, token, projection FROM PUBLIC;
GRANT SELECT, INSERT ON event TO orderledger_app;
GRANT SELECT ON head, migration, event_data TO orderledger_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON tracking, projection TO orderledger_app;
GRANT SELECT, INSERT, UPDATE (revoked_at) ON token TO orderledger_app;
