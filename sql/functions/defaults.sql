-- What an adapter replaces: where a kind goes, what its body is, which machines there are, what is
-- looked after now and then, where cycle times are carried, how the host's tables are. These are
-- the versions for a database without an adapter.
--
-- Each is made only where it is missing, and none is ever replaced. Otherwise applying this file
-- again would put the default in the place of an installed adapter's version, until the adapter is
-- applied after it, and an event emitted in that time would get the wrong path. Applying functions
-- and adapter in one transaction would help as well, but then every change of a function would
-- lock the host's tables (an adapter makes triggers), and 'mtcctl migrate' without --adapter would
-- have to touch the adapter.
--
-- So a default that changes reaches new databases only. One that must reach those without an
-- adapter is replaced in a migration under sql/core/ that asks mtc.schema_version whether there is
-- an adapter. A signature here never changes, or an adapter that is not yet up to date would lose
-- its version: the new function gets a new name, and its default calls the old one.

DO $do$
BEGIN
    IF to_regprocedure('mtc.route(text, text)') IS NULL THEN
        CREATE FUNCTION mtc.route(kind text, type text) RETURNS text
        LANGUAGE sql STABLE AS $$
            SELECT CASE kind
                   WHEN 'setup' THEN '/api/ext/setup'
                   WHEN 'event' THEN '/api/ext/event'
                   END
        $$;
    END IF;

    IF to_regprocedure('mtc.body(text, text, text, json, timestamptz)') IS NULL THEN
        CREATE FUNCTION mtc.body(kind text, machine text, type text, payload json,
                                 occurred_at timestamptz) RETURNS text
        LANGUAGE sql STABLE AS $$
            SELECT '{"machineId":' || to_json(machine) || ',"eventType":' || to_json(type)
                || ',"timestamp":"' || mtc.utc_text(occurred_at) || '","data":' || payload || '}'
        $$;
    END IF;

    IF to_regprocedure('mtc.is_known_machine(text)') IS NULL THEN
        CREATE FUNCTION mtc.is_known_machine(machine text) RETURNS boolean
        LANGUAGE sql STABLE AS $$ SELECT true $$;
    END IF;

    IF to_regprocedure('mtc.tick()') IS NULL THEN
        CREATE FUNCTION mtc.tick() RETURNS void
        LANGUAGE sql AS $$ $$;
        COMMENT ON FUNCTION mtc.tick() IS
            'Called by the active relay every few seconds, for what an adapter has to look after';
    END IF;

    -- Called with the machines of each applied batch; an adapter may carry the values into the
    -- host's own tables.
    IF to_regprocedure('mtc.mirror_cycle_times(integer[])') IS NULL THEN
        CREATE FUNCTION mtc.mirror_cycle_times(machine_ids integer[]) RETURNS void
        LANGUAGE sql AS $$ $$;
    END IF;

    -- What mtc.health() tells of the host's tables. An adapter from before this function was has
    -- no version of it.
    IF to_regprocedure('mtc.adapter_health()') IS NULL THEN
        CREATE FUNCTION mtc.adapter_health()
        RETURNS TABLE (verdict text, what text, detail text, advice text)
        LANGUAGE sql STABLE AS $$
            SELECT 'warning', 'adapter',
                   coalesce(
                       a.names || ' is too old to be asked about its triggers',
                       'none is installed: no trigger emits events, and no machine is known'),
                   coalesce(
                       'run mtcctl migrate --adapter ' || a.names,
                       'run mtcctl migrate --adapter NAME (--help lists them), unless the'
                       ' application calls mtc.emit()')
              FROM (SELECT string_agg(DISTINCT v.component, ', ') AS names
                      FROM mtc.schema_version v WHERE v.component <> 'core') a
        $$;
    END IF;
END
$do$;
