-- What mtcctl applied as core 2 before there was sql/functions/; comments left out.

DO $$
BEGIN
    IF to_regclass('mtc.machine') IS NULL THEN
        CREATE VIEW mtc.machine AS SELECT NULL::integer AS machine_id, NULL::text AS machine, false
            AS active WHERE false;
        CREATE VIEW mtc.active_machine AS SELECT machine_id, machine FROM mtc.machine WHERE active;
    END IF;
END
$$;

CREATE TABLE mtc.cycle_time (
    machine_id   integer PRIMARY KEY,
    cycle_time_s numeric(9, 3) NOT NULL CHECK (cycle_time_s > 0),
    observed_at  timestamptz NOT NULL,
    source       text NOT NULL CHECK (source IN ('pull', 'webhook')),
    changed_at   timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE mtc.cycle_time IS 'Last cycle time of each machine, to the millisecond';
COMMENT ON COLUMN mtc.cycle_time.observed_at IS
    'When this value was first seen; seeing it again writes nothing';

CREATE VIEW mtc.machine_cycle_time AS
SELECT c.machine_id, m.machine, c.cycle_time_s, c.observed_at, c.source, c.changed_at
  FROM mtc.cycle_time c LEFT JOIN mtc.machine m USING (machine_id);
COMMENT ON VIEW mtc.machine_cycle_time IS
    'mtc.cycle_time with the name of each machine at MTConnect';

CREATE TABLE mtc.cycle_run (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    worker      text NOT NULL,
    asked       integer NOT NULL,
    answered    integer NOT NULL,
    changed     integer NOT NULL,
    failed      jsonb NOT NULL
);

CREATE FUNCTION mtc.mirror_cycle_times(machine_ids integer[]) RETURNS void
LANGUAGE sql AS $$ $$;

CREATE FUNCTION mtc.apply_cycle_times(batch jsonb, OUT changed integer, OUT same integer, OUT older
    integer,
                                      OUT unknown integer[])
LANGUAGE plpgsql AS $$
DECLARE
    v_ids integer[];
BEGIN
    WITH told AS MATERIALIZED (
        SELECT e.n - 1 AS n, e.o -> 'machine' AS machine, (e.o ->> 'cycle_time')::numeric(9, 3) AS
            seconds,
               (e.o ->> 'observed_at')::timestamptz AS observed_at, e.o ->> 'source' AS source
          FROM jsonb_array_elements(batch) WITH ORDINALITY AS e (o, n)
    ), known AS MATERIALIZED (
        SELECT t.*, m.machine_id
          FROM told t JOIN mtc.machine m ON m.machine_id::text = t.machine::text
         WHERE jsonb_typeof(t.machine) = 'number'
        UNION ALL
        SELECT t.*, m.machine_id
          FROM told t JOIN mtc.machine m ON m.machine = t.machine #>> '{}'
         WHERE jsonb_typeof(t.machine) = 'string'
    ), newest AS (
        SELECT DISTINCT ON (k.machine_id) k.*
          FROM known k ORDER BY k.machine_id, k.observed_at DESC, k.n DESC
    ), judged AS MATERIALIZED (
        SELECT n.*, c.machine_id IS NULL AS fresh, c.cycle_time_s IS NOT DISTINCT FROM n.seconds AS
            same,
               n.observed_at > c.observed_at AS newer
          FROM newest n LEFT JOIN mtc.cycle_time c USING (machine_id)
    ), written AS (
        INSERT INTO mtc.cycle_time AS c (machine_id, cycle_time_s, observed_at, source, changed_at)
        SELECT j.machine_id, j.seconds, j.observed_at, j.source, clock_timestamp()
          FROM judged j WHERE j.fresh OR (j.newer AND NOT j.same)
         ORDER BY j.machine_id
        ON CONFLICT (machine_id) DO UPDATE
           SET cycle_time_s = excluded.cycle_time_s, observed_at = excluded.observed_at, source =
               excluded.source,
               changed_at = excluded.changed_at
         WHERE excluded.observed_at > c.observed_at AND excluded.cycle_time_s <> c.cycle_time_s
        RETURNING c.machine_id
    )
    SELECT (SELECT count(*) FROM written),
           (SELECT count(*) FROM judged j WHERE j.same),
           (SELECT count(*) FROM known) - (SELECT count(*) FROM written) - (SELECT count(*) FROM
               judged j WHERE j.same),
           ARRAY(SELECT t.n FROM told t WHERE NOT EXISTS (SELECT FROM known k WHERE k.n = t.n)
               ORDER BY t.n),
           ARRAY(SELECT n.machine_id FROM newest n)
      INTO changed, same, older, unknown, v_ids;
    IF cardinality(v_ids) > 0 THEN
        PERFORM mtc.mirror_cycle_times(v_ids);
    END IF;
END
$$;

CREATE FUNCTION mtc.cycle_run_due(period interval) RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT greatest(0, least(extract(epoch FROM period),
                                              extract(epoch FROM r.started_at + period -
                                                  clock_timestamp())))
                       FROM mtc.cycle_run r), 0)::double precision
$$;

CREATE FUNCTION mtc.finish_cycle_run(batch jsonb, seconds double precision, worker text, asked
    integer, answered integer,
                                     changed_before integer, failed jsonb,
                                     OUT changed integer, OUT same integer, OUT older integer, OUT
                                         unknown integer[])
LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.changed, a.same, a.older, a.unknown INTO changed, same, older, unknown
      FROM mtc.apply_cycle_times(batch) a;
    INSERT INTO mtc.cycle_run AS r (started_at, finished_at, worker, asked, answered, changed,
        failed)
    VALUES (clock_timestamp() - make_interval(secs => seconds), clock_timestamp(),
        finish_cycle_run.worker,
            finish_cycle_run.asked, finish_cycle_run.answered, finish_cycle_run.changed +
                changed_before,
            finish_cycle_run.failed)
    ON CONFLICT (only_row) DO UPDATE
       SET started_at = excluded.started_at, finished_at = excluded.finished_at, worker =
           excluded.worker,
           asked = excluded.asked, answered = excluded.answered, changed = excluded.changed, failed
               = excluded.failed;
END
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mtc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mtc.emit(text, text, text, json, uuid, timestamptz, text) TO PUBLIC;
