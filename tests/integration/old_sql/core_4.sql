-- What mtcctl applied as core 4 before there was sql/functions/; comments left out.

CREATE OR REPLACE FUNCTION mtc.sweep(after bigint, retention interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_last   bigint;
    v_count  bigint;
    v_newest timestamptz;
BEGIN
    SELECT max(w.id), count(*), max(w.created_at) INTO v_last, v_count, v_newest
      FROM (SELECT o.id, o.created_at FROM mtc.outbox o WHERE o.id > after ORDER BY o.id LIMIT
          1000) w;
    DELETE FROM mtc.outbox o
     WHERE o.id > after AND o.id <= v_last AND o.outcome_at < now() - retention AND o.published_at
         IS NOT NULL
       AND (o.outcome = 'delivered' OR (o.outcome = 'dead' AND o.note = 'dropped'));
    RETURN CASE WHEN v_count < 1000 OR v_newest > now() - retention THEN 0 ELSE v_last END;
END
$$;

CREATE OR REPLACE FUNCTION mtc.apply_outcomes(batch jsonb) RETURNS bigint
LANGUAGE sql AS $$
    WITH told AS MATERIALIZED (
        SELECT DISTINCT ON (x.seq) x.* FROM jsonb_to_recordset(batch)
            AS x (seq bigint, id uuid, outcome text, at_us bigint, attempts integer, status
                integer, reason text)
         ORDER BY x.seq, x.outcome DESC, x.status IS NULL, x.at_us DESC
    ), mine AS MATERIALIZED (
        SELECT o.id FROM mtc.outbox o JOIN told t ON t.seq = o.id AND t.id = o.event_id
         WHERE o.outcome IS NULL OR (o.outcome <> t.outcome AND o.outcome <> 'delivered')
            OR (o.outcome = 'delivered' AND t.outcome = 'delivered' AND o.status IS NULL AND
                t.status IS NOT NULL)
         ORDER BY o.id FOR NO KEY UPDATE OF o
    ), changed AS (
        UPDATE mtc.outbox o
           SET outcome = t.outcome, outcome_at = to_timestamp(t.at_us / 1000000.0), attempts =
               t.attempts,
               status = t.status, reason = t.reason
          FROM told t, mine m
         WHERE o.id = m.id AND t.seq = m.id
        RETURNING 1
    )
    SELECT count(*) FROM changed
$$;
