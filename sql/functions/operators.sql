-- What people do to events by hand: send them again, drop them, put dead ones back.

-- Sends events again, in their old order, as new rows of the outbox: with their own keys (for a
-- receiver that has lost what it had) or with new ones (for one that is to apply them twice).
-- Events that could not be formed are left out, and so are those whose fate is open: they are on
-- their way, and would overtake themselves. Returns how many.
CREATE OR REPLACE FUNCTION mtc.replay(only_machine text, since timestamptz, until timestamptz,
                                      only_ids uuid[], new_keys boolean, dry_run boolean)
RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
BEGIN
    IF dry_run THEN
        SELECT count(*) INTO v_count FROM mtc.outbox o
         WHERE o.error IS NULL AND o.replay_of IS NULL AND o.outcome IS NOT NULL
           AND (only_machine IS NULL OR o.machine = only_machine)
           AND (since IS NULL OR o.created_at >= since) AND (until IS NULL OR o.created_at < until)
           AND (only_ids IS NULL OR o.event_id = ANY (only_ids));
        RETURN v_count;
    END IF;
    INSERT INTO mtc.outbox (event_id, created_at, occurred_at, kind, machine, type, path, body,
                            traceparent, replay_of, note)
    SELECT CASE WHEN new_keys THEN mtc.new_event_id() ELSE o.event_id END, clock_timestamp(),
           o.occurred_at, o.kind, o.machine, o.type, o.path, o.body, o.traceparent, o.id,
           CASE WHEN new_keys THEN 'replayed with a new key' ELSE 'replayed' END
      FROM mtc.outbox o
     WHERE o.error IS NULL AND o.replay_of IS NULL AND o.outcome IS NOT NULL
       AND (only_machine IS NULL OR o.machine = only_machine)
       AND (since IS NULL OR o.created_at >= since) AND (until IS NULL OR o.created_at < until)
       AND (only_ids IS NULL OR o.event_id = ANY (only_ids))
     ORDER BY o.id;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count > 0 THEN
        PERFORM pg_notify('mtc_outbox', '');
    END IF;
    RETURN v_count;
END
$$;

-- A dead event is on its way again: its fate is open.
CREATE OR REPLACE FUNCTION mtc.requeued(row_id bigint, id uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE mtc.outbox o SET outcome = NULL, outcome_at = NULL, reason = NULL,
           note = 'put back after having been dead: ' || coalesce(o.reason, o.error, '')
     WHERE o.id = row_id AND o.event_id = requeued.id AND o.outcome = 'dead'
$$;

-- A dead event stays dead, and nobody keeps it any more.
CREATE OR REPLACE FUNCTION mtc.dropped(row_id bigint, id uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE mtc.outbox o SET note = 'dropped'
     WHERE o.id = row_id AND o.event_id = dropped.id AND o.outcome = 'dead'
$$;
