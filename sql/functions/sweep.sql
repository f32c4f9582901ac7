-- How the ledger is kept from growing: its old end is cut off in small bites.

-- For mtc-producer: looks at the 1,000 rows after `after`, deletes those delivered (or dropped by
-- an operator) longer ago than the retention, and returns where to go on, or 0: nothing further on
-- is old enough, begin anew at the next time. Rows stand in order of their creation, and none is
-- delivered before it is created. Never scans the table.
CREATE OR REPLACE FUNCTION mtc.sweep(after bigint, retention interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_last   bigint;
    v_count  bigint;
    v_newest timestamptz;
BEGIN
    SELECT max(w.id), count(*), max(w.created_at) INTO v_last, v_count, v_newest
      FROM (SELECT o.id, o.created_at FROM mtc.outbox o
             WHERE o.id > after ORDER BY o.id LIMIT 1000) w;
    DELETE FROM mtc.outbox o
     WHERE o.id > after AND o.id <= v_last
       AND o.outcome_at < now() - retention AND o.published_at IS NOT NULL
       AND (o.outcome = 'delivered' OR (o.outcome = 'dead' AND o.note = 'dropped'));
    RETURN CASE WHEN v_count < 1000 OR v_newest > now() - retention THEN 0 ELSE v_last END;
END
$$;
