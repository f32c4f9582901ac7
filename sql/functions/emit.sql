-- How events come into the outbox.
--
-- Promise kept here: mtc.emit() never blocks, deadlocks or fails the application's transaction. It
-- takes no lock beyond the one any INSERT takes, waits for nobody, and an event that can't be
-- formed is recorded with its error.

-- The insert itself. `problem` says why an event can't be formed; it is then kept with what is
-- known of it.
CREATE OR REPLACE FUNCTION mtc.append(kind text, machine text, type text, payload json,
                                      event_id uuid, occurred_at timestamptz, traceparent text,
                                      problem text) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    v_id   uuid := coalesce(event_id, mtc.new_event_id());
    v_at   timestamptz := coalesce(occurred_at, clock_timestamp());
    v_now  timestamptz := clock_timestamp();
    v_path text;
    v_body text;
BEGIN
    -- RFC 3339 has no other years, and no infinity.
    IF v_at < '0001-01-02' OR v_at > '9999-12-30' THEN
        problem := coalesce(problem, format('occurred_at %s is not within the years 1 to 9999',
                                            v_at));
        v_at := v_now;
    END IF;
    IF problem IS NULL THEN
        BEGIN -- writes nothing, so the subtransaction costs no transaction id
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
        traceparent := NULL; -- not worth an event
    END IF;
    IF problem IS NOT NULL THEN -- what could not be formed is kept, within bounds
        problem := left(problem, 1000);
        kind := left(kind, 200);
        machine := left(machine, 200);
        type := left(type, 200);
    END IF;
    INSERT INTO mtc.outbox (event_id, created_at, occurred_at, kind, machine, type, path, body,
                            traceparent, error)
    VALUES (v_id, v_now, v_at, kind, machine, type, v_path,
            coalesce(v_body, left(payload::text, 65536), ''), traceparent, problem);
    -- NOTIFY takes a lock on the whole server at commit: only when a relay sleeps and waits for it.
    IF (SELECT r.asleep_until > clock_timestamp() FROM mtc.relay r) THEN
        PERFORM pg_notify('mtc_outbox', '');
    END IF;
    RETURN v_id;
END
$$;

-- Asks the adapter, which looks into a table of the host's. Somebody who changes that table (ALTER
-- TABLE machines) must hold nobody up, and what can't be found out now is no reason to kill an
-- event: the machine then counts as known, and MTConnect decides.
CREATE OR REPLACE FUNCTION mtc.is_unknown_machine(machine text) RETURNS boolean
LANGUAGE plpgsql SET lock_timeout = '20ms' AS $$
BEGIN
    RETURN NOT mtc.is_known_machine(machine);
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'mtc.emit: machine % taken for known: %', left(machine, 200), SQLERRM;
    RETURN false;
END
$$;

-- For applications: records an event in the caller's own transaction; returns its id. An event_id
-- that is already in the outbox is not recorded again.
CREATE OR REPLACE FUNCTION mtc.emit(kind text, machine text, type text, payload json,
                                    event_id uuid DEFAULT NULL,
                                    occurred_at timestamptz DEFAULT NULL,
                                    traceparent text DEFAULT NULL) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    problem text;
BEGIN
    IF emit.event_id IS NOT NULL
       AND EXISTS (SELECT FROM mtc.outbox o WHERE o.event_id = emit.event_id) THEN
        RETURN emit.event_id;
    END IF;
    IF emit.machine <> '' AND mtc.is_unknown_machine(emit.machine) THEN
        problem := format('machine %L is unknown', left(emit.machine, 200));
    END IF;
    RETURN mtc.append(emit.kind, emit.machine, emit.type, emit.payload, emit.event_id,
                      emit.occurred_at, emit.traceparent, problem);
END
$$;
