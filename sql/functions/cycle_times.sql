-- Cycle times as MTConnect tells them, pulled or by web-hook: for mtc-scheduler.
--
-- Promises kept here:
--   * mtc.apply_cycle_times() writes a row only if the value changed and the observation is newer
--     than the stored one.
--   * A batch is one statement: all of it counts or nothing. Telling it again changes nothing.

-- batch:   [{"machine": 12 or "SR-26", "cycle_time": 298.2, "observed_at": "...",
--            "source": "pull"}, ...]
-- older:   not newer than what is stored, and of another value
-- unknown: positions in the batch, from 0
CREATE OR REPLACE FUNCTION mtc.apply_cycle_times(batch jsonb, OUT changed integer, OUT same integer,
                                                 OUT older integer, OUT unknown integer[])
LANGUAGE plpgsql AS $$
DECLARE
    v_ids integer[];
BEGIN
    WITH told AS MATERIALIZED (
        SELECT e.n - 1 AS n, e.o -> 'machine' AS machine,
               (e.o ->> 'cycle_time')::numeric(9, 3) AS seconds,
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
        SELECT n.*, c.machine_id IS NULL AS fresh,
               c.cycle_time_s IS NOT DISTINCT FROM n.seconds AS same,
               n.observed_at > c.observed_at AS newer
          FROM newest n LEFT JOIN mtc.cycle_time c USING (machine_id)
    ), written AS (
        INSERT INTO mtc.cycle_time AS c (machine_id, cycle_time_s, observed_at, source, changed_at)
        SELECT j.machine_id, j.seconds, j.observed_at, j.source, clock_timestamp()
          FROM judged j WHERE j.fresh OR (j.newer AND NOT j.same)
         ORDER BY j.machine_id
        ON CONFLICT (machine_id) DO UPDATE
           SET cycle_time_s = excluded.cycle_time_s, observed_at = excluded.observed_at,
               source = excluded.source, changed_at = excluded.changed_at
         WHERE excluded.observed_at > c.observed_at AND excluded.cycle_time_s <> c.cycle_time_s
        RETURNING c.machine_id
    )
    SELECT (SELECT count(*) FROM written),
           (SELECT count(*) FROM judged j WHERE j.same),
           (SELECT count(*) FROM known) - (SELECT count(*) FROM written)
               - (SELECT count(*) FROM judged j WHERE j.same),
           ARRAY(SELECT t.n FROM told t
                  WHERE NOT EXISTS (SELECT FROM known k WHERE k.n = t.n) ORDER BY t.n),
           ARRAY(SELECT n.machine_id FROM newest n)
      INTO changed, same, older, unknown, v_ids;
    IF cardinality(v_ids) > 0 THEN
        PERFORM mtc.try_mirror(v_ids);
    END IF;
END
$$;

-- What the host's tables refuse (a constraint, a trigger of the application's) is a warning, and
-- costs that machine alone: the others are carried over, and mtc.cycle_time has all of them.
CREATE OR REPLACE FUNCTION mtc.try_mirror(machine_ids integer[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_id integer;
BEGIN
    BEGIN
        PERFORM mtc.mirror_cycle_times(machine_ids);
        RETURN;
    EXCEPTION WHEN OTHERS THEN
        IF cardinality(machine_ids) = 1 THEN
            RAISE WARNING 'the cycle time of machine % is not carried into the application: %',
                machine_ids[1], SQLERRM;
            RETURN;
        END IF;
    END;
    FOREACH v_id IN ARRAY machine_ids LOOP
        PERFORM mtc.try_mirror(ARRAY[v_id]);
    END LOOP;
END
$$;

-- Seconds until the next pull is due; 0: now. A clock that was set back never puts it off by more
-- than a period.
CREATE OR REPLACE FUNCTION mtc.cycle_run_due(period interval) RETURNS double precision
LANGUAGE sql STABLE AS $$
    SELECT coalesce((SELECT greatest(0, least(extract(epoch FROM period),
                                              extract(epoch FROM r.started_at + period
                                                                 - clock_timestamp())))
                       FROM mtc.cycle_run r), 0)::double precision
$$;

-- The last batch of a pull, and the note that it was made, in one transaction: a scheduler that
-- dies before it makes the pull anew.
CREATE OR REPLACE FUNCTION mtc.finish_cycle_run(batch jsonb, seconds double precision, worker text,
                                                asked integer, answered integer,
                                                changed_before integer, failed jsonb,
                                                OUT changed integer, OUT same integer,
                                                OUT older integer, OUT unknown integer[])
LANGUAGE plpgsql AS $$
BEGIN
    SELECT a.changed, a.same, a.older, a.unknown INTO changed, same, older, unknown
      FROM mtc.apply_cycle_times(batch) a;
    INSERT INTO mtc.cycle_run AS r (started_at, finished_at, worker, asked, answered, changed,
                                    failed)
    VALUES (clock_timestamp() - make_interval(secs => seconds), clock_timestamp(),
            finish_cycle_run.worker, finish_cycle_run.asked, finish_cycle_run.answered,
            finish_cycle_run.changed + changed_before, finish_cycle_run.failed)
    ON CONFLICT (only_row) DO UPDATE
       SET started_at = excluded.started_at, finished_at = excluded.finished_at,
           worker = excluded.worker, asked = excluded.asked, answered = excluded.answered,
           changed = excluded.changed, failed = excluded.failed;
END
$$;
