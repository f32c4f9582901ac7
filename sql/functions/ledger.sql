-- What became of each event: for mtc-producer.
--
-- Promise kept here: telling an outcome again changes nothing, and delivered is final, whatever
-- order outcomes come in, and from whom: of a death both the sender and the dead letter tell.

-- Applies a batch of outcomes, as mtc-sender and dead letters tell them, to the ledger. What
-- MTConnect answered counts for more than that a repeat was found to be delivered already, which
-- may be told first when a producer has died with outcomes in its hands. A death from before the
-- event was put back is history. Returns how many rows changed.
CREATE OR REPLACE FUNCTION mtc.apply_outcomes(batch jsonb) RETURNS bigint
LANGUAGE sql AS $$
    WITH told AS MATERIALIZED (
        SELECT DISTINCT ON (x.seq) x.* FROM jsonb_to_recordset(batch)
            AS x (seq bigint, id uuid, outcome text, at_us bigint, attempts integer, status integer,
                  requeues integer, reason text)
         ORDER BY x.seq, x.outcome DESC, x.requeues DESC NULLS LAST, x.status IS NULL,
                  x.at_us DESC
    ), mine AS MATERIALIZED (
        SELECT o.id FROM mtc.outbox o JOIN told t ON t.seq = o.id AND t.id = o.event_id
         WHERE CASE WHEN t.outcome = 'dead'
                    THEN o.outcome IS NULL AND coalesce(t.requeues, 0) >= o.requeues
                    ELSE o.outcome IS DISTINCT FROM 'delivered'
                         OR (o.status IS NULL AND t.status IS NOT NULL) END
         ORDER BY o.id FOR NO KEY UPDATE OF o
    ), changed AS (
        UPDATE mtc.outbox o
           SET outcome = t.outcome,
               -- Not before it was written, and not later than now: with a sender whose clock is
               -- wrong, the row would be swept at once, or never.
               outcome_at = least(greatest(to_timestamp(t.at_us / 1000000.0), o.created_at),
                                  clock_timestamp()),
               -- It was published, though the relay died before it could say so.
               published_at = coalesce(o.published_at, clock_timestamp()),
               -- What RabbitMQ gave up was tried an unknown number of times.
               attempts = coalesce(t.attempts, o.attempts), status = t.status, reason = t.reason,
               -- It went straight to the dead letters, and this came before the relay's own word.
               error = CASE WHEN t.outcome = 'dead' THEN mtc.row_problem(o) ELSE o.error END
          FROM told t, mine m
         WHERE o.id = m.id AND t.seq = m.id
        RETURNING 1
    )
    SELECT count(*) FROM changed
$$;

-- The same for a batch that was refused: one outcome that makes no sense costs none of the others.
CREATE OR REPLACE FUNCTION mtc.apply_readable_outcomes(batch jsonb) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_one   jsonb;
    v_count bigint := 0;
BEGIN
    FOR v_one IN SELECT e FROM jsonb_array_elements(batch) e LOOP
        BEGIN
            v_count := v_count + mtc.apply_outcomes(jsonb_build_array(v_one));
        EXCEPTION WHEN data_exception OR integrity_constraint_violation
                       OR program_limit_exceeded THEN
            NULL; -- the whole batch goes to the dead letters, where this one can be looked at
        END;
    END LOOP;
    RETURN v_count;
END
$$;
