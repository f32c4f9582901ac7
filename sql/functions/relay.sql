-- How events leave the outbox: for mtc-producer.
--
-- Promise kept here: reading order is id order; an event committed before another of its machine
-- was begun has the lower id. Two transactions that overlap in time may come in either order.

-- At core 1 and 2 the result had no column `again`. A result can't be replaced, so that function
-- is dropped, and only that one: dropping it at each migration would lose the site's own grants.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_proc
                WHERE oid = to_regprocedure('mtc.relay_step(bigint[], bigint[], integer)')
                  AND NOT 'again' = ANY (proargnames)) THEN
        DROP FUNCTION mtc.relay_step(bigint[], bigint[], integer);
    END IF;
END
$$;

-- Marks what the broker has confirmed, and reads what comes next, both in one round trip.
-- `in_flight` are the rows read before and neither confirmed nor given up; they are not read again.
-- Rows below the highest of them that were committed late are read in the same snapshot as the
-- newest, or order would be lost. `again`: the row is an event sent again on purpose.
CREATE OR REPLACE FUNCTION mtc.relay_step(confirmed bigint[], in_flight bigint[], max_rows integer)
RETURNS TABLE (id bigint, event_id uuid, kind text, machine text, type text, path text, body text,
               traceparent text, error text, occurred_s bigint, created_us bigint, again boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    high bigint := coalesce((SELECT max(f) FROM unnest(in_flight) f), 0);
BEGIN
    IF cardinality(confirmed) > 0 THEN
        -- In id order, as mtc.apply_outcomes() does: two that lock the same rows can't wait for
        -- each other. An event that could not be formed went straight to the dead letters.
        WITH mine AS MATERIALIZED (
            SELECT o.id FROM mtc.outbox o
             WHERE o.id = ANY (confirmed) AND o.published_at IS NULL
             ORDER BY o.id FOR NO KEY UPDATE)
        UPDATE mtc.outbox o
           SET published_at = clock_timestamp(),
               outcome = CASE WHEN o.error IS NOT NULL THEN 'dead' ELSE o.outcome END,
               outcome_at = CASE WHEN o.error IS NOT NULL THEN clock_timestamp()
                                 ELSE o.outcome_at END
          FROM mine WHERE o.id = mine.id;
    END IF;
    IF max_rows > 0 THEN
        RETURN QUERY
        WITH late AS (
            SELECT o.id FROM mtc.outbox o WHERE o.published_at IS NULL AND o.id <= high
            EXCEPT SELECT f FROM unnest(in_flight) f
        ), fresh AS (
            SELECT o.id FROM mtc.outbox o
             WHERE o.published_at IS NULL AND o.id > high ORDER BY o.id LIMIT max_rows
        )
        SELECT o.id, o.event_id, o.kind, o.machine, o.type, o.path, o.body, o.traceparent, o.error,
               extract(epoch FROM o.occurred_at)::bigint,
               (extract(epoch FROM o.created_at) * 1000000)::bigint,
               o.replay_of IS NOT NULL
          FROM mtc.outbox o
         WHERE o.id IN (SELECT l.id FROM late l UNION ALL SELECT f.id FROM fresh f)
         -- a large transaction may be late with more than was asked for
         ORDER BY o.id LIMIT max_rows;
    END IF;
END
$$;

-- The active relay says whether it wants to be woken; while it sleeps it says so again every few
-- seconds.
CREATE OR REPLACE FUNCTION mtc.relay_awake(is_awake boolean) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO mtc.relay AS r (asleep_until)
    VALUES (CASE WHEN is_awake THEN '-infinity' ELSE clock_timestamp() + interval '15 seconds' END)
    ON CONFLICT (only_row) DO UPDATE SET asleep_until = excluded.asleep_until
     WHERE r.asleep_until <> excluded.asleep_until
$$;
