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

-- Until core 6 these two did what the next two do, and could not tell one death from another.
DROP FUNCTION IF EXISTS mtc.requeued(bigint, uuid);
DROP FUNCTION IF EXISTS mtc.dropped(bigint, uuid);

-- An event whose dead letter is in an operator's hands is about to be sent again: its fate is open,
-- also if the ledger has not heard of its death yet. Returns how often that has been done, which
-- the copy is to bear, or NULL: it is delivered, or there is no such row.
CREATE OR REPLACE FUNCTION mtc.put_back(row_id bigint, id uuid) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    v_requeues integer;
BEGIN
    UPDATE mtc.outbox o SET outcome = NULL, outcome_at = NULL, reason = NULL,
           requeues = o.requeues + 1,
           note = 'put back after having been dead: ' || coalesce(o.reason, o.error, '')
     WHERE o.id = row_id AND o.event_id = put_back.id AND o.outcome IS DISTINCT FROM 'delivered'
    RETURNING o.requeues INTO v_requeues;
    IF v_requeues IS NOT NULL THEN
        PERFORM mtc.watch_again(row_id);
    END IF;
    RETURN v_requeues;
END
$$;

-- An event stays dead, and nobody keeps its letter any more. `requeues` is what the letter bears:
-- one from before the event was put back says nothing of the copy that is on its way.
CREATE OR REPLACE FUNCTION mtc.let_go(row_id bigint, id uuid, requeues integer, why text)
RETURNS void
LANGUAGE sql AS $$
    UPDATE mtc.outbox o SET outcome = 'dead', note = 'dropped',
           outcome_at = coalesce(o.outcome_at, clock_timestamp()),
           published_at = coalesce(o.published_at, clock_timestamp()),
           reason = coalesce(o.reason, o.error, why)
     WHERE o.id = row_id AND o.event_id = let_go.id AND o.requeues = let_go.requeues
       AND o.outcome IS DISTINCT FROM 'delivered'
$$;
