-- version: 4
-- Fits mtc onto the production-tracking system: tables public.machines and public.setup_jobs, which
-- stay as they are. Applied again whenever its version rises, so every statement can be repeated.
--
--   setup_jobs, INSERT or change of status  ->  event setup.<status> of the machine
--   mtc.setting 'setup_endpoint'            ->  plan: setup.* goes to /api/ext/setup
--                                               deployed: setup.* goes to /api/ext/event, and
--                                               /api/ext/setup gets the names of the active
--                                               machines, again whenever they change
--   mtc.setting 'mirror_cycle_time'         ->  on: a machine's cycle time, in whole seconds, also
--                                               goes into setup_jobs.cycle_time of its active setup

-- The one place where a machine's name at MTConnect differs from the name here.
CREATE TABLE IF NOT EXISTS mtc.machine_name (
    machine_id     integer PRIMARY KEY,
    mtconnect_name text NOT NULL UNIQUE CHECK (mtconnect_name <> '')
);
COMMENT ON TABLE mtc.machine_name IS
    'Name at MTConnect of each machine whose name there is not the one in machines';

CREATE OR REPLACE VIEW mtc.machine AS
SELECT m.id AS machine_id, coalesce(n.mtconnect_name, m.name)::text AS machine,
       coalesce(m.is_active, false) AS active
  FROM public.machines m LEFT JOIN mtc.machine_name n ON n.machine_id = m.id;

CREATE OR REPLACE VIEW mtc.active_machine AS
SELECT machine_id, machine FROM mtc.machine WHERE active;
COMMENT ON VIEW mtc.active_machine IS 'PostgreSQL number and MTConnect name of each active machine';

INSERT INTO mtc.setting (name, value) VALUES ('setup_endpoint', 'plan'), ('gateway_id', 'mtc-sync'),
    ('mirror_cycle_time', 'off')
ON CONFLICT (name) DO NOTHING;

-- The set of names last sent as the gateway's registration; written by the active relay alone.
CREATE TABLE IF NOT EXISTS mtc.gateway_registration (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    machines text[] NOT NULL
);

CREATE OR REPLACE FUNCTION mtc.route(kind text, type text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE kind
           WHEN 'setup' THEN
               CASE (SELECT s.value FROM mtc.setting s WHERE s.name = 'setup_endpoint')
               WHEN 'deployed' THEN '/api/ext/event' ELSE '/api/ext/setup' END
           WHEN 'event' THEN '/api/ext/event'
           WHEN 'gateway' THEN '/api/ext/setup'
           END
$$;

CREATE OR REPLACE FUNCTION mtc.body(kind text, machine text, type text, payload json,
                                    occurred_at timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE kind
           WHEN 'gateway' THEN payload::text
           ELSE '{"machineId":' || to_json(machine) || ',"eventType":' || to_json(type)
             || ',"timestamp":"' || mtc.utc_text(occurred_at) || '","data":' || payload || '}'
           END
$$;

CREATE OR REPLACE FUNCTION mtc.is_known_machine(machine text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM mtc.machine m WHERE m.machine = is_known_machine.machine)
$$;

-- Deployed setting: registers the gateway's machines, once and again whenever the set changes. Only
-- the active relay calls this, so there is nobody to race with, and no transaction of the
-- application pays for it.
CREATE OR REPLACE FUNCTION mtc.tick() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now     text[];
    v_gateway text;
BEGIN
    IF (SELECT value FROM mtc.setting WHERE name = 'setup_endpoint')
       IS DISTINCT FROM 'deployed' THEN
        DELETE FROM mtc.gateway_registration; -- switched back: the next switch registers anew
        RETURN;
    END IF;
    v_now := ARRAY(SELECT machine FROM mtc.active_machine ORDER BY machine);
    IF v_now IS NOT DISTINCT FROM (SELECT machines FROM mtc.gateway_registration) THEN
        RETURN;
    END IF;
    v_gateway := coalesce((SELECT value FROM mtc.setting WHERE name = 'gateway_id'), 'mtc-sync');
    INSERT INTO mtc.gateway_registration (machines) VALUES (v_now)
    ON CONFLICT (only_row) DO UPDATE SET machines = excluded.machines;
    PERFORM mtc.append('gateway', v_gateway, 'gateway.machines',
                       json_build_object('edgeGatewayId', v_gateway, 'machines', to_json(v_now)),
                       NULL, NULL, NULL, NULL);
END
$$;

CREATE OR REPLACE FUNCTION mtc.on_setup_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_machine text;
    v_payload json;
    v_problem text;
BEGIN
    BEGIN -- whatever is wrong with the row is the event's problem, never the application's
        SELECT m.machine INTO v_machine FROM mtc.machine m WHERE m.machine_id = NEW.machine_id;
        IF NOT FOUND THEN
            v_problem := format('setup %s: machine number %s is not in machines', NEW.id,
                                coalesce(NEW.machine_id::text, 'NULL'));
        END IF;
        v_payload := json_build_object(
            'setupId', NEW.id, 'status', NEW.status,
            'previousStatus', CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END,
            'machineNumber', NEW.machine_id, 'employeeId', NEW.employee_id, 'lotId', NEW.lot_id,
            'partId', NEW.part_id, 'plannedQuantity', NEW.planned_quantity,
            'additionalQuantity', NEW.additional_quantity, 'cycleTime', NEW.cycle_time,
            'startTime', mtc.utc_text(NEW.start_time AT TIME ZONE 'UTC'),
            'endTime', mtc.utc_text(NEW.end_time AT TIME ZONE 'UTC'));
    EXCEPTION WHEN OTHERS THEN
        v_problem := SQLERRM;
    END;
    PERFORM mtc.append('setup', v_machine, 'setup.' || coalesce(NEW.status, 'unknown'), v_payload,
                       NULL, NULL, current_setting('mtc.traceparent', true), v_problem);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER mtc_setup_inserted AFTER INSERT ON public.setup_jobs
FOR EACH ROW EXECUTE FUNCTION mtc.on_setup_job();
CREATE OR REPLACE TRIGGER mtc_setup_status AFTER UPDATE OF status ON public.setup_jobs
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION mtc.on_setup_job();

-- A machine's active setup is the one that runs, else the one nearest to running. A row the
-- application has locked is left for the next batch that names the machine: nobody waits for
-- anybody.
CREATE OR REPLACE FUNCTION mtc.mirror_cycle_times(machine_ids integer[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT value FROM mtc.setting WHERE name = 'mirror_cycle_time') IS DISTINCT FROM 'on' THEN
        RETURN;
    END IF;
    WITH active AS MATERIALIZED (
        SELECT DISTINCT ON (s.machine_id) s.id, s.machine_id
          FROM public.setup_jobs s
         WHERE s.machine_id = ANY (machine_ids)
           AND s.status IN ('started', 'allowed', 'pending_qc', 'created')
         ORDER BY s.machine_id,
                  array_position('{started,allowed,pending_qc,created}', s.status::text),
                  s.created_at DESC NULLS LAST, s.id DESC
    ), stale AS MATERIALIZED (
        SELECT s.id, greatest(1, round(c.cycle_time_s))::integer AS seconds
          FROM active a JOIN public.setup_jobs s ON s.id = a.id
               JOIN mtc.cycle_time c ON c.machine_id = a.machine_id
         WHERE s.cycle_time IS DISTINCT FROM greatest(1, round(c.cycle_time_s))::integer
         ORDER BY s.id FOR NO KEY UPDATE OF s SKIP LOCKED
    )
    UPDATE public.setup_jobs s SET cycle_time = stale.seconds FROM stale WHERE s.id = stale.id;
END
$$;

-- What mtcctl doctor is told of the triggers above.
CREATE OR REPLACE FUNCTION mtc.adapter_health()
RETURNS TABLE (verdict text, what text, detail text, advice text)
LANGUAGE sql STABLE AS $$
    SELECT * FROM mtc.trigger_health('production_tracking', 'public.setup_jobs',
                                     '{mtc_setup_inserted,mtc_setup_status}')
$$;
