-- What the broker has lost is found, and published again: for mtc-producer.
--
-- Promise kept here: an event is published again only if a marker that was behind it in its
-- partition came out while no sender held it, and again a marker of a later round, and in all the
-- time between, which is longer than anybody can have an outcome in hand, no outcome was applied.
-- Everything is compared by numbers that this database gave; its clock only says how long that time
-- was. docs/decisions/0032-what-the-broker-has-lost-is-published-again.md
--
-- They run with the rights of the owner: a site's own roles need rights on no table of these.

-- Is a round due? Then from where the outbox is to be looked through, and what becomes the floor
-- after that: up to there no row can appear any more that is not published. No row: not due.
CREATE OR REPLACE FUNCTION mtc.reconcile_due(period interval)
RETURNS TABLE (from_row bigint, next_floor bigint)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.floor,
           CASE WHEN pg_snapshot_xmin(pg_current_snapshot()) >= r.bound_xid
                THEN greatest(r.floor, least(r.bound, (SELECT min(o.id) - 1 FROM mtc.outbox o
                                                        WHERE o.published_at IS NULL)))
                ELSE r.floor END
      FROM mtc.reconciler r
     WHERE r.asked
        OR NOT r.round_at BETWEEN clock_timestamp() - period * 0.9 AND clock_timestamp()
$$;

-- Notes which of the next rows are published and have no outcome. Returns where to go on, or 0.
CREATE OR REPLACE FUNCTION mtc.note_unsettled(after bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
    bite CONSTANT integer := 2000;
    v_last  bigint;
    v_count integer;
BEGIN
    SELECT max(w.id), count(*) INTO v_last, v_count
      FROM (SELECT o.id FROM mtc.outbox o WHERE o.id > after ORDER BY o.id LIMIT bite) w;
    INSERT INTO mtc.unsettled (id, machine, published_at, since)
    SELECT o.id, left(coalesce(o.machine, ''), 4096), o.published_at,
           (SELECT r.round FROM mtc.reconciler r)
      FROM mtc.outbox o
     WHERE o.id > after AND o.id <= v_last AND o.published_at IS NOT NULL AND o.outcome IS NULL
     ORDER BY o.id
        ON CONFLICT (id) DO NOTHING;
    RETURN CASE WHEN v_count < bite THEN 0 ELSE v_last END;
END
$$;

-- A round begins: its number, the time, and the partitions that get a marker. One whose last marker
-- has not come out yet gets the next after 1, 2, 4, 8, then each 16 rounds, or at once if `anew`
-- (the broker was lost meanwhile, and may have lost them) or if somebody asked for the round. The
-- number must never be given twice, so it is on disk before it is told.
CREATE OR REPLACE FUNCTION mtc.send_markers(partitions integer, anew boolean, next_floor bigint)
RETURNS TABLE (number bigint, at_us bigint, into_partition integer)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_round bigint;
    v_all   boolean := anew OR (SELECT r.asked FROM mtc.reconciler r FOR UPDATE);
    v_at    timestamptz := clock_timestamp();
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    UPDATE mtc.reconciler r
       SET round = r.round + 1, round_at = v_at, asked = false,
           floor = greatest(r.floor, next_floor),
           bound = (SELECT CASE WHEN s.is_called THEN s.last_value ELSE 0 END
                      FROM mtc.outbox_id_seq s),
           bound_xid = pg_snapshot_xmax(pg_current_snapshot())
    RETURNING r.round INTO v_round;
    -- What was put back or published again is in its partition by now, if its row says so.
    UPDATE mtc.unsettled u
       SET since = v_round - 1, published_at = o.published_at
      FROM mtc.outbox o
     WHERE u.since IS NULL AND o.id = u.id AND o.published_at IS NOT NULL AND o.outcome IS NULL;
    DELETE FROM mtc.marker m WHERE m.partition >= partitions;
    RETURN QUERY
    INSERT INTO mtc.marker AS m (partition, sent, sent_at, unanswered)
    SELECT p, v_round, v_at, 1
      FROM generate_series(0, partitions - 1) p LEFT JOIN mtc.marker w ON w.partition = p
     WHERE w.partition IS NULL OR w.unanswered = 0 OR v_all
        OR v_round - w.sent >= 2 ^ least(w.unanswered - 1, 4)
        ON CONFLICT (partition) DO UPDATE
       SET sent = excluded.sent, sent_at = excluded.sent_at, unanswered = m.unanswered + 1
    RETURNING m.sent, (extract(epoch FROM v_at) * 1000000)::bigint, m.partition;
END
$$;

-- Of which machines rows are noted: who applies an answer computes which are of its partition.
CREATE OR REPLACE FUNCTION mtc.unsettled_machines() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT DISTINCT u.machine FROM mtc.unsettled u
$$;

-- A marker has come out of a partition, at a sender that held these rows. `machines`: those of the
-- partition. Looks at some noted rows after `after`; returns where to go on (0: that was all), and
-- how many rows were found lost. `patience`: longer than anybody has an outcome in hand.
CREATE OR REPLACE FUNCTION mtc.apply_answer(number bigint, at_us bigint, into_partition integer,
                                            held bigint[], machines text[], patience interval,
                                            after bigint, OUT next bigint, OUT lost bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
-- Rows are found by their keys, whatever the planner believes of a table that was empty just now.
SET enable_seqscan = off AS $$
DECLARE
    bite CONSTANT integer := 2000;
    v_sent    timestamptz := to_timestamp(at_us / 1000000.0);
    v_done    bigint[];
    v_again   bigint[];
    v_there   bigint[];
    v_twice   bigint[];
    v_missing bigint[];
    v_count   integer;
BEGIN
    lost := 0;
    WITH noted AS MATERIALIZED (
        SELECT u.* FROM mtc.unsettled u
         WHERE u.id > after AND u.machine = ANY (machines) ORDER BY u.id LIMIT bite
    ), known AS (
        SELECT n.*, o.id IS NULL OR o.outcome IS NOT NULL AS is_done,
               n.since IS NOT NULL AND o.published_at IS DISTINCT FROM n.published_at AS is_again,
               h.id IS NOT NULL AS is_held
          FROM noted n LEFT JOIN mtc.outbox o ON o.id = n.id
               LEFT JOIN (SELECT DISTINCT unnest(held) AS id) h ON h.id = n.id
    )
    SELECT array_agg(k.id) FILTER (WHERE k.is_done),
           array_agg(k.id) FILTER (WHERE NOT k.is_done AND k.is_again),
           array_agg(k.id) FILTER (WHERE NOT k.is_done AND k.is_held AND k.missing_at IS NOT NULL),
           array_agg(k.id) FILTER (
               WHERE NOT (k.is_done OR k.is_again OR k.is_held) AND k.since < number
                 AND k.missing_after < number AND v_sent >= k.missing_at + patience),
           array_agg(k.id) FILTER (
               WHERE NOT (k.is_done OR k.is_again OR k.is_held) AND k.since < number
                 AND k.missing_at IS NULL),
           count(*), max(k.id)
      INTO v_done, v_again, v_there, v_twice, v_missing, v_count, next
      FROM known k;
    IF v_count < bite THEN
        next := 0;
    END IF;

    -- It has an outcome, or it was swept.
    DELETE FROM mtc.unsettled u WHERE u.id = ANY (v_done);
    -- Published again since it was noted: it is not known to be ahead of this marker.
    UPDATE mtc.unsettled u SET since = NULL, missing_at = NULL, missing_after = NULL
     WHERE u.id = ANY (v_again);
    UPDATE mtc.unsettled u SET missing_at = NULL, missing_after = NULL WHERE u.id = ANY (v_there);
    UPDATE mtc.unsettled u
       SET missing_at = clock_timestamp(), missing_after = (SELECT r.round FROM mtc.reconciler r)
     WHERE u.id = ANY (v_missing);

    -- Missing again, and so still under the lock. A row that somebody has locked is being changed:
    -- it is left for another time.
    v_twice := ARRAY(
        SELECT o.id FROM mtc.outbox o JOIN mtc.unsettled u ON u.id = o.id
         WHERE o.id = ANY (v_twice) AND o.outcome IS NULL AND o.published_at = u.published_at
           AND u.since < number AND u.missing_after < number
         ORDER BY o.id FOR NO KEY UPDATE OF o, u SKIP LOCKED);
    IF cardinality(v_twice) > 0 THEN
        UPDATE mtc.outbox o SET published_at = NULL, note = 'lost by the broker; published again'
         WHERE o.id = ANY (v_twice);
        UPDATE mtc.unsettled u
           SET since = NULL, missing_at = NULL, missing_after = NULL, lost = true
         WHERE u.id = ANY (v_twice);
        lost := cardinality(v_twice);
        PERFORM pg_notify('mtc_outbox', '');
    END IF;

    IF next = 0 THEN
        UPDATE mtc.marker m SET answered = number, unanswered = 0
         WHERE m.partition = into_partition AND m.answered < number AND m.sent >= number;
    END IF;
END
$$;

-- A row is sent again past the relay: what markers have said of it is history.
CREATE OR REPLACE FUNCTION mtc.watch_again(row_id bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO mtc.unsettled AS u (id, machine)
    SELECT o.id, left(coalesce(o.machine, ''), 4096) FROM mtc.outbox o WHERE o.id = row_id
    ON CONFLICT (id) DO UPDATE SET since = NULL, missing_at = NULL, missing_after = NULL
$$;

-- For mtcctl audit: asks for a round at once. Returns the number of the last one, or NULL: no relay
-- is active that could begin another.
CREATE OR REPLACE FUNCTION mtc.ask_round() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_round bigint;
BEGIN
    PERFORM FROM pg_locks l JOIN pg_database d ON d.oid = l.database
      WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 7173219 AND l.objid = 1
        AND d.datname = current_database();
    IF FOUND THEN
        UPDATE mtc.reconciler r SET asked = true RETURNING r.round INTO v_round;
        PERFORM pg_notify('mtc_outbox', 'round');
    END IF;
    RETURN v_round;
END
$$;

-- The last round; and through each partition: the last marker sent, the last that came out and how
-- many have not.
CREATE OR REPLACE FUNCTION mtc.markers()
RETURNS TABLE (round bigint, in_partition integer, sent bigint, answered bigint, unanswered integer)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.round, m.partition, m.sent, m.answered, m.unanswered
      FROM mtc.reconciler r LEFT JOIN mtc.marker m ON true ORDER BY m.partition
$$;

-- Events that the last marker through their partition found missing, and that have no outcome yet.
CREATE OR REPLACE FUNCTION mtc.missing() RETURNS TABLE (event_id uuid, missing_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT o.event_id, u.missing_at
      FROM mtc.unsettled u JOIN mtc.outbox o ON o.id = u.id
     WHERE u.missing_at IS NOT NULL AND o.outcome IS NULL AND o.published_at = u.published_at
     ORDER BY o.id
$$;

-- How many: a number that anybody may know who looks at how events fare.
CREATE OR REPLACE FUNCTION mtc.count_missing() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT count(*) FROM mtc.missing()
$$;

-- This database was restored from a backup, while RabbitMQ and Redis went on: numbers that they
-- have seen must not be given again. Row ids, terms of relays and rounds of markers go on far
-- beyond those of the backup; what it says of markers is forgotten; and what it holds for waiting
-- may have been published since, so it goes out as repeats. Not while a relay is active. Returns
-- how many events are waiting, and how many published without an outcome.
CREATE OR REPLACE FUNCTION mtc.restored(OUT waiting bigint, OUT published bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    more_rows   CONSTANT bigint := 10000000;
    more_terms  CONSTANT bigint := 1000; -- the next relay deletes the exchanges of all of them
    more_rounds CONSTANT bigint := 1000000;
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    IF NOT pg_try_advisory_xact_lock(7173219, 1) THEN
        RAISE EXCEPTION 'a relay is active: stop every mtc-producer first';
    END IF;
    PERFORM setval('mtc.outbox_id_seq',
                   greatest((SELECT s.last_value FROM mtc.outbox_id_seq s),
                            (SELECT max(o.id) FROM mtc.outbox o)) + more_rows);
    INSERT INTO mtc.setting AS s (name, value) VALUES ('relay_term', more_terms::text)
    ON CONFLICT (name) DO UPDATE SET value = s.value::bigint + more_terms;
    UPDATE mtc.reconciler r
       SET round = r.round + more_rounds, round_at = '-infinity', floor = 0, bound = 0,
           bound_xid = '0', asked = false;
    DELETE FROM mtc.marker;
    UPDATE mtc.unsettled u SET since = NULL, missing_at = NULL, missing_after = NULL;
    INSERT INTO mtc.unsettled AS u (id, machine, lost)
    SELECT o.id, left(coalesce(o.machine, ''), 4096), true
      FROM mtc.outbox o WHERE o.published_at IS NULL
    ON CONFLICT (id) DO UPDATE SET lost = true;
    GET DIAGNOSTICS waiting = ROW_COUNT;
    SELECT count(*) INTO published FROM mtc.outbox o
     WHERE o.published_at IS NOT NULL AND o.outcome IS NULL;
END
$$;
