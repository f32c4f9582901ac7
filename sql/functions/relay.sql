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

-- Why a row goes to the dead letters rather than on its way, or NULL: its event could not be
-- formed, or it was written past mtc.emit(), which bounds what becomes a message's headers.
CREATE OR REPLACE FUNCTION mtc.row_problem(o mtc.outbox) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(o.error,
                    CASE WHEN greatest(octet_length(o.kind), octet_length(o.machine),
                                       octet_length(o.type), octet_length(o.path),
                                       octet_length(o.traceparent)) > 4096
                         THEN 'its headers do not fit into a message; see the outbox row' END)
$$;

-- What a row takes of the relay's memory, nearly enough: its body, and something for the rest. The
-- relay counts alike. The length of a text is known without reading it.
CREATE OR REPLACE FUNCTION mtc.row_bytes(o mtc.outbox) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(octet_length(o.body), 0) + 1000
$$;

-- Marks what the broker has confirmed, and reads what comes next, both in one round trip.
-- `in_flight` are the rows read before and neither confirmed nor given up; they are not read again.
-- Rows below the highest of them that were committed late are read in the same snapshot as the
-- newest, or order would be lost. No more rows are read than `max_rows`, and none behind the one
-- that reaches `max_bytes`. `held`: machines of which nothing is read. `again`: the row is an event
-- sent again on purpose.
CREATE OR REPLACE FUNCTION mtc.relay_step(confirmed bigint[], in_flight bigint[], max_rows integer,
                                          max_bytes bigint, held text[])
RETURNS TABLE (id bigint, event_id uuid, kind text, machine text, type text, path text, body text,
               traceparent text, error text, occurred_s bigint, created_us bigint, again boolean)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    high      bigint := coalesce((SELECT max(f) FROM unnest(in_flight) f), 0);
    none_held boolean := cardinality(held) = 0;
BEGIN
    IF cardinality(confirmed) > 0 THEN
        -- In id order, as mtc.apply_outcomes() does: two that lock the same rows can't wait for
        -- each other. An event that could not be formed went straight to the dead letters.
        WITH mine AS MATERIALIZED (
            SELECT o.id FROM mtc.outbox o
             WHERE o.id = ANY (confirmed) AND o.published_at IS NULL
             ORDER BY o.id FOR NO KEY UPDATE)
        UPDATE mtc.outbox o
           SET published_at = clock_timestamp(), error = p.problem,
               outcome = CASE WHEN p.problem IS NOT NULL THEN 'dead' ELSE o.outcome END,
               outcome_at = CASE WHEN p.problem IS NOT NULL THEN clock_timestamp()
                                 ELSE o.outcome_at END
          FROM mine JOIN mtc.outbox q ON q.id = mine.id
               CROSS JOIN LATERAL mtc.row_problem(q) AS p (problem)
         WHERE o.id = mine.id;
    END IF;
    IF max_rows > 0 THEN
        RETURN QUERY
        WITH late AS (
            SELECT o.id FROM mtc.outbox o
             WHERE o.published_at IS NULL AND o.id <= high
               AND (none_held OR coalesce(left(o.machine, 4096), '') <> ALL (held))
            EXCEPT SELECT f FROM unnest(in_flight) f
        ), fresh AS (
            SELECT o.id FROM mtc.outbox o
             WHERE o.published_at IS NULL AND o.id > high
               AND (none_held OR coalesce(left(o.machine, 4096), '') <> ALL (held))
             ORDER BY o.id LIMIT max_rows
        ), next AS (
            -- a large transaction may be late with more than was asked for
            SELECT l.id FROM late l UNION ALL SELECT f.id FROM fresh f ORDER BY id LIMIT max_rows
        ), sized AS (
            SELECT n.id, sum(mtc.row_bytes(o)) OVER (ORDER BY n.id) - mtc.row_bytes(o) AS before
              FROM next n JOIN mtc.outbox o ON o.id = n.id
        )
        -- Nothing here can fail for what a row holds: one row must not stop the others.
        SELECT o.id, o.event_id, left(o.kind, 4096), left(o.machine, 4096), left(o.type, 4096),
               left(o.path, 4096),
               CASE WHEN o.error LIKE 'unreadable: %' THEN '' ELSE o.body END,
               left(o.traceparent, 4096), left(mtc.row_problem(o), 4096),
               CASE WHEN isfinite(o.occurred_at) THEN extract(epoch FROM o.occurred_at)::bigint
                    ELSE 0 END,
               CASE WHEN o.created_at BETWEEN '1970-01-01' AND '9999-12-31'
                    THEN (extract(epoch FROM o.created_at) * 1000000)::bigint ELSE 0 END,
               o.replay_of IS NOT NULL
          FROM sized s JOIN mtc.outbox o ON o.id = s.id
         WHERE s.before < max_bytes
         ORDER BY o.id;
    END IF;
END
$$;

-- As it was before bytes were counted and machines held.
CREATE OR REPLACE FUNCTION mtc.relay_step(confirmed bigint[], in_flight bigint[], max_rows integer)
RETURNS TABLE (id bigint, event_id uuid, kind text, machine text, type text, path text, body text,
               traceparent text, error text, occurred_s bigint, created_us bigint, again boolean)
LANGUAGE sql AS $$
    SELECT * FROM mtc.relay_step(confirmed, in_flight, max_rows, 9223372036854775807, '{}')
$$;

-- The relay could not read the next row: it is set aside, as one that could not be formed. What can
-- be wrong with a row is that a character of it does not exist in UTF-8, which is how the relay
-- reads (a database in WIN1252 may hold such). A row of which that is not true is left alone.
-- Returns its id, or NULL. Its body stays as it is; the other columns lose what is not ASCII.
CREATE OR REPLACE FUNCTION mtc.set_aside(in_flight bigint[], held text[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_row     mtc.outbox;
    v_problem text;
BEGIN
    SELECT o.* INTO v_row FROM mtc.outbox o
     WHERE o.published_at IS NULL AND o.id <> ALL (in_flight)
       AND coalesce(left(o.machine, 4096), '') <> ALL (held)
     ORDER BY o.id LIMIT 1;
    BEGIN
        PERFORM convert_to(concat(v_row.kind, v_row.machine, v_row.type, v_row.path, v_row.body,
                                  v_row.traceparent, v_row.error), 'UTF8');
        RETURN NULL;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        v_problem := 'unreadable: ' || SQLERRM;
    END;
    UPDATE mtc.outbox o
       SET error = mtc.ascii(left(v_problem, 1000)), kind = mtc.ascii(o.kind),
           machine = mtc.ascii(o.machine), type = mtc.ascii(o.type), path = mtc.ascii(o.path),
           traceparent = NULL
     WHERE o.id = v_row.id;
    RETURN v_row.id;
END
$$;

CREATE OR REPLACE FUNCTION mtc.set_aside(in_flight bigint[]) RETURNS bigint
LANGUAGE sql AS $$
    SELECT mtc.set_aside(in_flight, '{}')
$$;

-- May the active relay publish by this partitioning (its rule and its number of partitions)? Not
-- while an event that went out by another one has no outcome; one that has had none for a week is
-- lost rather than on its way, and must not stop all others. The answer yes is remembered, with the
-- rights of the owner: the relay's role need not be able to write mtc.setting.
CREATE OR REPLACE FUNCTION mtc.may_partition(scheme text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF scheme = (SELECT s.value FROM mtc.setting s WHERE s.name = 'partitioning') THEN
        RETURN true;
    END IF;
    IF EXISTS (SELECT FROM mtc.outbox o
                WHERE o.published_at > clock_timestamp() - interval '7 days' AND o.outcome IS NULL)
    THEN
        RETURN false;
    END IF;
    INSERT INTO mtc.setting AS s (name, value) VALUES ('partitioning', scheme)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value;
    RETURN true;
END
$$;

-- A relay's term begins: its number, higher than all before, and up to which number earlier terms
-- are fenced off already, at the broker. The relay fences the others off (their exchanges go), and
-- says so by mtc.term_begun(); then it may read. A number must never be given twice, so unlike
-- marks this is on disk before it is told.
CREATE OR REPLACE FUNCTION mtc.begin_term(OUT term bigint, OUT fenced bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('synchronous_commit', 'on', true);
    INSERT INTO mtc.setting AS s (name, value) VALUES ('relay_term', '1')
    ON CONFLICT (name) DO UPDATE SET value = s.value::bigint + 1
    RETURNING s.value::bigint INTO term;
    fenced := coalesce((SELECT s.value::bigint FROM mtc.setting s WHERE s.name = 'relay_fenced'),
                       0);
END
$$;

CREATE OR REPLACE FUNCTION mtc.term_begun(term bigint) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO mtc.setting AS s (name, value) VALUES ('relay_fenced', term - 1)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
$$;

-- When the oldest event that waits was made, in microseconds; NULL: none waits. Ids follow
-- creation nearly enough, and the lowest is one step in the relay's own index.
CREATE OR REPLACE FUNCTION mtc.oldest_waiting() RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN o.created_at BETWEEN '1970-01-01' AND '9999-12-31'
                THEN (extract(epoch FROM o.created_at) * 1000000)::bigint END
      FROM mtc.outbox o WHERE o.published_at IS NULL ORDER BY o.id LIMIT 1
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
