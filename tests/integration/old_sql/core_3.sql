-- What mtcctl applied as core 3 before there was sql/functions/; comments left out.

ALTER TABLE mtc.outbox ADD COLUMN replay_of bigint, ADD COLUMN note text;
COMMENT ON COLUMN mtc.outbox.replay_of IS 'The row this one sends again (mtcctl replay)';
COMMENT ON COLUMN mtc.outbox.note IS 'What an operator did to it';

CREATE OR REPLACE VIEW mtc.event AS
SELECT id, event_id, machine, kind, type, created_at, occurred_at,
       CASE WHEN outcome IS NOT NULL THEN outcome
            WHEN published_at IS NOT NULL THEN 'published'
            ELSE 'waiting' END AS state,
       published_at, outcome_at, attempts, status, coalesce(reason, error) AS reason, replay_of,
           note
  FROM mtc.outbox;

DROP FUNCTION mtc.relay_step(bigint[], bigint[], integer);
CREATE FUNCTION mtc.relay_step(confirmed bigint[], in_flight bigint[], max_rows integer)
RETURNS TABLE (id bigint, event_id uuid, kind text, machine text, type text, path text, body text,
    traceparent text,
               error text, occurred_s bigint, created_us bigint, again boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    high bigint := coalesce((SELECT max(f) FROM unnest(in_flight) f), 0);
BEGIN
    IF cardinality(confirmed) > 0 THEN
        WITH mine AS MATERIALIZED (
            SELECT o.id FROM mtc.outbox o
             WHERE o.id = ANY (confirmed) AND o.published_at IS NULL ORDER BY o.id FOR NO KEY
                 UPDATE)
        UPDATE mtc.outbox o
           SET published_at = clock_timestamp(),
               outcome = CASE WHEN o.error IS NOT NULL THEN 'dead' ELSE o.outcome END,
               outcome_at = CASE WHEN o.error IS NOT NULL THEN clock_timestamp() ELSE o.outcome_at
                   END
          FROM mine WHERE o.id = mine.id;
    END IF;
    IF max_rows > 0 THEN
        RETURN QUERY
        WITH late AS (
            SELECT o.id FROM mtc.outbox o WHERE o.published_at IS NULL AND o.id <= high
            EXCEPT SELECT f FROM unnest(in_flight) f
        ), fresh AS (
            SELECT o.id FROM mtc.outbox o WHERE o.published_at IS NULL AND o.id > high ORDER BY
                o.id LIMIT max_rows
        )
        SELECT o.id, o.event_id, o.kind, o.machine, o.type, o.path, o.body, o.traceparent, o.error,
               extract(epoch FROM o.occurred_at)::bigint, (extract(epoch FROM o.created_at) *
                   1000000)::bigint,
               o.replay_of IS NOT NULL
          FROM mtc.outbox o
         WHERE o.id IN (SELECT l.id FROM late l UNION ALL SELECT f.id FROM fresh f)
         ORDER BY o.id LIMIT max_rows;
    END IF;
END
$$;

CREATE FUNCTION mtc.replay(only_machine text, since timestamptz, until timestamptz, only_ids
    uuid[], new_keys boolean,
                           dry_run boolean) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_count bigint;
BEGIN
    IF dry_run THEN
        SELECT count(*) INTO v_count FROM mtc.outbox o
         WHERE o.error IS NULL AND o.replay_of IS NULL AND (only_machine IS NULL OR o.machine =
             only_machine)
           AND (since IS NULL OR o.created_at >= since) AND (until IS NULL OR o.created_at < until)
           AND (only_ids IS NULL OR o.event_id = ANY (only_ids));
        RETURN v_count;
    END IF;
    INSERT INTO mtc.outbox (event_id, created_at, occurred_at, kind, machine, type, path, body,
        traceparent, replay_of, note)
    SELECT CASE WHEN new_keys THEN mtc.new_event_id() ELSE o.event_id END, clock_timestamp(),
        o.occurred_at, o.kind, o.machine,
           o.type, o.path, o.body, o.traceparent, o.id, CASE WHEN new_keys THEN
               'replayed with a new key' ELSE 'replayed' END
      FROM mtc.outbox o
     WHERE o.error IS NULL AND o.replay_of IS NULL AND (only_machine IS NULL OR o.machine =
         only_machine)
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

CREATE FUNCTION mtc.requeued(row_id bigint, id uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE mtc.outbox o SET outcome = NULL, outcome_at = NULL, reason = NULL,
           note = 'put back after having been dead: ' || coalesce(o.reason, o.error, '')
     WHERE o.id = row_id AND o.event_id = requeued.id AND o.outcome = 'dead'
$$;

CREATE FUNCTION mtc.dropped(row_id bigint, id uuid) RETURNS void
LANGUAGE sql AS $$
    UPDATE mtc.outbox o SET note = 'dropped' WHERE o.id = row_id AND o.event_id = dropped.id AND
        o.outcome = 'dead'
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mtc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mtc.emit(text, text, text, json, uuid, timestamptz, text) TO PUBLIC;
