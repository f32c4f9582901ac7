-- What mtcctl applied as core 1 before there was sql/functions/; comments left out.

CREATE TABLE mtc.setting (
    name  text PRIMARY KEY,
    value text NOT NULL
);
COMMENT ON TABLE mtc.setting IS 'Choices of the adapter; written by mtcctl migrate';

CREATE TABLE mtc.outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     uuid NOT NULL,
    created_at   timestamptz NOT NULL,
    occurred_at  timestamptz NOT NULL,
    kind         text,
    machine      text,
    type         text,
    path         text,
    body         text,
    traceparent  text,
    error        text,
    published_at timestamptz,
    outcome      text,
    outcome_at   timestamptz,
    attempts     integer,
    status       integer,
    reason       text
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05);

COMMENT ON TABLE mtc.outbox IS 'Events on their way to MTConnect, and what became of them';
COMMENT ON COLUMN mtc.outbox.event_id IS 'Idempotency key of every attempt to deliver the event';
COMMENT ON COLUMN mtc.outbox.path IS 'Where the event goes at MTConnect: the adapter''s decision';
COMMENT ON COLUMN mtc.outbox.body IS 'What is sent, byte for byte';
COMMENT ON COLUMN mtc.outbox.error IS
    'Why the event could not be formed; it then goes to the dead letters as it is';
COMMENT ON COLUMN mtc.outbox.published_at IS 'When the broker confirmed that it has the event';
COMMENT ON COLUMN mtc.outbox.outcome IS 'delivered or dead; NULL: not known yet';
COMMENT ON COLUMN mtc.outbox.status IS 'Last HTTP status; NULL: there was no answer';

CREATE INDEX outbox_waiting ON mtc.outbox (id) WHERE published_at IS NULL;
CREATE INDEX outbox_event_id ON mtc.outbox (event_id);

CREATE VIEW mtc.event AS
SELECT id, event_id, machine, kind, type, created_at, occurred_at,
       CASE WHEN outcome IS NOT NULL THEN outcome
            WHEN published_at IS NOT NULL THEN 'published'
            ELSE 'waiting' END AS state,
       published_at, outcome_at, attempts, status, coalesce(reason, error) AS reason
  FROM mtc.outbox;
COMMENT ON VIEW mtc.event IS 'The ledger: waiting, published, delivered or dead';

CREATE UNLOGGED TABLE mtc.relay (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    asleep_until timestamptz NOT NULL
);

CREATE FUNCTION mtc.new_event_id() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(set_bit(set_bit(
               overlay(uuid_send(gen_random_uuid())
                       PLACING substring(int8send((extract(epoch FROM clock_timestamp()) *
                           1000)::bigint) FROM 3)
                       FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

CREATE FUNCTION mtc.utc_text(moment timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

CREATE FUNCTION mtc.route(kind text, type text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE kind WHEN 'setup' THEN '/api/ext/setup' WHEN 'event' THEN '/api/ext/event' END
$$;

CREATE FUNCTION mtc.body(kind text, machine text, type text, payload json, occurred_at timestamptz)
    RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT '{"machineId":' || to_json(machine) || ',"eventType":' || to_json(type)
        || ',"timestamp":"' || mtc.utc_text(occurred_at) || '","data":' || payload || '}'
$$;

CREATE FUNCTION mtc.is_known_machine(machine text) RETURNS boolean
LANGUAGE sql STABLE AS $$ SELECT true $$;

CREATE FUNCTION mtc.tick() RETURNS void
LANGUAGE sql AS $$ $$;
COMMENT ON FUNCTION mtc.tick() IS
    'Called by the active relay every few seconds, for what an adapter has to look after';

CREATE FUNCTION mtc.append(kind text, machine text, type text, payload json, event_id uuid,
    occurred_at timestamptz,
                           traceparent text, problem text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_id   uuid := coalesce(event_id, mtc.new_event_id());
    v_at   timestamptz := coalesce(occurred_at, clock_timestamp());
    v_path text;
    v_body text;
BEGIN
    IF problem IS NULL THEN
        BEGIN
            IF machine IS NULL OR machine = '' THEN
                problem := 'machine is missing';
            ELSIF octet_length(machine) > 200 OR machine ~ '[[:cntrl:]]' THEN
                problem := 'machine is longer than 200 bytes or holds control characters';
            ELSIF type IS NULL OR type = '' OR octet_length(type) > 200 THEN
                problem := 'type is missing or longer than 200 bytes';
            ELSIF payload IS NULL OR json_typeof(payload) <> 'object' THEN
                problem := 'payload is no JSON object';
            ELSE
                v_path := mtc.route(kind, type);
                IF v_path IS NULL THEN
                    problem := format('kind %L goes nowhere', kind);
                ELSE
                    v_body := mtc.body(kind, machine, type, payload, v_at);
                    IF octet_length(v_body) > 8388608 THEN
                        problem := format('body of %s bytes is larger than 8 MiB',
                            octet_length(v_body));
                        v_body := left(v_body, 65536);
                    END IF;
                END IF;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            problem := SQLERRM;
        END;
    END IF;
    IF traceparent !~ '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' THEN
        traceparent := NULL;
    END IF;
    INSERT INTO mtc.outbox (event_id, created_at, occurred_at, kind, machine, type, path, body,
        traceparent, error)
    VALUES (v_id, clock_timestamp(), v_at, kind, machine, type, v_path,
            coalesce(v_body, left(payload::text, 65536), ''), traceparent, problem);
    IF (SELECT r.asleep_until > clock_timestamp() FROM mtc.relay r) THEN
        PERFORM pg_notify('mtc_outbox', '');
    END IF;
    RETURN v_id;
END
$$;

CREATE FUNCTION mtc.emit(kind text, machine text, type text, payload json, event_id uuid DEFAULT
    NULL,
                         occurred_at timestamptz DEFAULT NULL, traceparent text DEFAULT NULL)
                             RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    problem text;
BEGIN
    IF emit.event_id IS NOT NULL AND EXISTS (SELECT FROM mtc.outbox o WHERE o.event_id =
        emit.event_id) THEN
        RETURN emit.event_id;
    END IF;
    IF emit.machine <> '' AND NOT mtc.is_known_machine(emit.machine) THEN
        problem := format('machine %L is unknown', emit.machine);
    END IF;
    RETURN mtc.append(emit.kind, emit.machine, emit.type, emit.payload, emit.event_id,
        emit.occurred_at,
                      emit.traceparent, problem);
END
$$;

CREATE FUNCTION mtc.relay_step(confirmed bigint[], in_flight bigint[], max_rows integer)
RETURNS TABLE (id bigint, event_id uuid, kind text, machine text, type text, path text, body text,
    traceparent text,
               error text, occurred_s bigint, created_us bigint)
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
                   1000000)::bigint
          FROM mtc.outbox o
         WHERE o.id IN (SELECT l.id FROM late l UNION ALL SELECT f.id FROM fresh f)
         ORDER BY o.id LIMIT max_rows;
    END IF;
END
$$;

CREATE FUNCTION mtc.relay_awake(is_awake boolean) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO mtc.relay AS r (asleep_until)
    VALUES (CASE WHEN is_awake THEN '-infinity' ELSE clock_timestamp() + interval '15 seconds' END)
    ON CONFLICT (only_row) DO UPDATE SET asleep_until = excluded.asleep_until
     WHERE r.asleep_until <> excluded.asleep_until
$$;

CREATE FUNCTION mtc.apply_outcomes(batch jsonb) RETURNS bigint
LANGUAGE sql AS $$
    WITH told AS MATERIALIZED (
        SELECT DISTINCT ON (x.seq) x.* FROM jsonb_to_recordset(batch)
            AS x (seq bigint, id uuid, outcome text, at_us bigint, attempts integer, status
                integer, reason text)
         ORDER BY x.seq, x.outcome DESC, x.at_us DESC
    ), mine AS MATERIALIZED (
        SELECT o.id FROM mtc.outbox o JOIN told t ON t.seq = o.id AND t.id = o.event_id
         WHERE o.outcome IS DISTINCT FROM 'delivered' AND (o.outcome IS NULL OR o.outcome <>
             t.outcome)
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

CREATE FUNCTION mtc.sweep(after bigint, retention interval) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    v_last  bigint;
    v_count bigint;
BEGIN
    SELECT max(w.id), count(*) INTO v_last, v_count
      FROM (SELECT o.id FROM mtc.outbox o WHERE o.id > after ORDER BY o.id LIMIT 5000) w;
    DELETE FROM mtc.outbox o
     WHERE o.id > after AND o.id <= v_last AND o.outcome = 'delivered' AND o.outcome_at < now() -
         retention
       AND o.published_at IS NOT NULL;
    RETURN CASE WHEN v_count < 5000 THEN 0 ELSE v_last END;
END
$$;

GRANT USAGE ON SCHEMA mtc TO PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mtc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mtc.emit(text, text, text, json, uuid, timestamptz, text) TO PUBLIC;
