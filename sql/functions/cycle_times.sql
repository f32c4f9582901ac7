-- Cycle times as MTConnect tells them, pulled or by web-hook: for mtc-scheduler.
--
-- Promises kept here:
--   * mtc.apply_cycle_times() writes a row only if the value changed and the observation is not
--     older than the stored one. Older is what one clock says of both: MTConnect's if it told both
--     times, ours if both are web-hooks without one of its. A pull reads the present state, so it
--     counts unless it is older.
--   * A batch is one statement: all of it counts or nothing. Telling it again changes nothing.

-- A result can't be replaced: what came before `named` is dropped, and only that.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_proc
                WHERE oid = to_regprocedure('mtc.apply_cycle_times(jsonb)')
                  AND NOT 'named' = ANY (proargnames)) THEN
        DROP FUNCTION mtc.apply_cycle_times(jsonb);
    END IF;
END
$$;

-- batch:   [{"machine": 12 or "SR-26", "cycle_time": 298.2, "observed_at": "...",
--            "dated": true, "arrived_at": "...", "source": "pull"}, ...]
--          arrived_at is our time, of the first arrival of a web-hook's key, or of the question;
--          observed_at is MTConnect's if it told one (dated), else ours again. Older programs told
--          one time and not whose it is: it is taken for ours.
-- older:   older than what is stored or in the batch, and of another value
-- unknown: positions in the batch, from 0
-- named:   numbers of the machines that were told by name and are known, in the batch's order
CREATE OR REPLACE FUNCTION mtc.apply_cycle_times(batch jsonb, OUT changed integer, OUT same integer,
                                                 OUT older integer, OUT unknown integer[],
                                                 OUT named integer[])
LANGUAGE plpgsql AS $$
DECLARE
    v_ids integer[];
BEGIN
    WITH told AS MATERIALIZED (
        SELECT e.n - 1 AS n, e.o -> 'machine' AS machine,
               (e.o ->> 'cycle_time')::numeric(9, 3) AS seconds,
               CASE WHEN (e.o ->> 'dated')::boolean
                    THEN (e.o ->> 'observed_at')::timestamptz END AS theirs,
               coalesce(e.o ->> 'arrived_at', e.o ->> 'observed_at')::timestamptz AS ours,
               e.o ->> 'source' AS source
          FROM jsonb_array_elements(batch) WITH ORDINALITY AS e (o, n)
    ), known AS MATERIALIZED (
        SELECT t.*, m.machine_id
          FROM told t JOIN mtc.machine m ON m.machine_id::text = t.machine::text
         WHERE jsonb_typeof(t.machine) = 'number'
        UNION ALL
        SELECT t.*, m.machine_id
          FROM told t JOIN mtc.machine m ON m.machine = t.machine #>> '{}'
         WHERE jsonb_typeof(t.machine) = 'string'
    ), placed AS (
        SELECT k.*, c.cycle_time_s IS NOT DISTINCT FROM k.seconds AS same,
               coalesce(CASE WHEN k.source = 'pull' THEN c.dated AND k.theirs < c.observed_at
                             WHEN k.theirs IS NOT NULL THEN c.dated AND k.theirs <= c.observed_at
                             ELSE NOT c.dated AND c.source = 'webhook' AND k.ours <= c.observed_at
                        END, false) AS older
          FROM known k LEFT JOIN mtc.cycle_time c USING (machine_id)
    ), newest_by_clock AS (
        SELECT DISTINCT ON (p.machine_id, p.theirs IS NULL) p.*
          FROM placed p
         ORDER BY p.machine_id, p.theirs IS NULL, p.older, p.theirs DESC, p.ours DESC, p.n DESC
    ), newest AS MATERIALIZED (
        SELECT DISTINCT ON (b.machine_id) b.*
          FROM newest_by_clock b ORDER BY b.machine_id, b.older, b.ours DESC, b.n DESC
    ), written AS (
        INSERT INTO mtc.cycle_time AS c (machine_id, cycle_time_s, observed_at, dated, source,
                                         changed_at)
        SELECT n.machine_id, n.seconds, coalesce(n.theirs, n.ours), n.theirs IS NOT NULL, n.source,
               clock_timestamp()
          FROM newest n WHERE NOT n.older AND NOT n.same
         ORDER BY n.machine_id
        ON CONFLICT (machine_id) DO UPDATE
           SET cycle_time_s = excluded.cycle_time_s, observed_at = excluded.observed_at,
               dated = excluded.dated, source = excluded.source, changed_at = excluded.changed_at
        RETURNING c.machine_id
    )
    SELECT (SELECT count(*) FROM written),
           (SELECT count(*) FROM newest n WHERE n.same),
           (SELECT count(*) FROM known) - (SELECT count(*) FROM written)
               - (SELECT count(*) FROM newest n WHERE n.same),
           ARRAY(SELECT t.n FROM told t
                  WHERE NOT EXISTS (SELECT FROM known k WHERE k.n = t.n) ORDER BY t.n),
           ARRAY(SELECT k.machine_id FROM known k
                  WHERE jsonb_typeof(k.machine) = 'string' ORDER BY k.n),
           ARRAY(SELECT n.machine_id FROM newest n)
      INTO changed, same, older, unknown, named, v_ids;
    IF cardinality(v_ids) > 0 THEN
        PERFORM mtc.try_mirror(v_ids);
    END IF;
END
$$;

-- Machines whose value came by a web-hook that no pull has confirmed since: who becomes active asks
-- for them one by one. What was written while the last pull was made, or what it failed to ask for,
-- is not confirmed.
CREATE OR REPLACE FUNCTION mtc.unconfirmed() RETURNS TABLE (machine_id integer)
LANGUAGE sql STABLE AS $$
    SELECT c.machine_id
      FROM mtc.machine_cycle_time c LEFT JOIN mtc.cycle_run r ON true
     WHERE c.source = 'webhook'
       AND (r.started_at IS NULL OR c.changed_at >= r.started_at OR r.failed ? c.machine)
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
