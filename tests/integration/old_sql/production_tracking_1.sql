-- What mtcctl applied as production_tracking 1 before there was sql/functions/; comments left out.

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

INSERT INTO mtc.setting (name, value) VALUES ('setup_endpoint', 'plan'), ('gateway_id', 'mtc-sync')
ON CONFLICT (name) DO NOTHING;

CREATE TABLE IF NOT EXISTS mtc.gateway_registration (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    machines text[] NOT NULL
);

CREATE OR REPLACE FUNCTION mtc.route(kind text, type text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE kind
           WHEN 'setup' THEN CASE (SELECT s.value FROM mtc.setting s WHERE s.name =
               'setup_endpoint')
                             WHEN 'deployed' THEN '/api/ext/event' ELSE '/api/ext/setup' END
           WHEN 'event' THEN '/api/ext/event'
           WHEN 'gateway' THEN '/api/ext/setup'
           END
$$;

CREATE OR REPLACE FUNCTION mtc.body(kind text, machine text, type text, payload json, occurred_at
    timestamptz)
RETURNS text
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

CREATE OR REPLACE FUNCTION mtc.tick() RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    v_now     text[];
    v_gateway text;
BEGIN
    IF (SELECT value FROM mtc.setting WHERE name = 'setup_endpoint') IS DISTINCT FROM 'deployed'
        THEN
        DELETE FROM mtc.gateway_registration;
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
    BEGIN
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
        NULL, NULL,
                       current_setting('mtc.traceparent', true), v_problem);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER mtc_setup_inserted AFTER INSERT ON public.setup_jobs
FOR EACH ROW EXECUTE FUNCTION mtc.on_setup_job();
CREATE OR REPLACE TRIGGER mtc_setup_status AFTER UPDATE OF status ON public.setup_jobs
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION mtc.on_setup_job();

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mtc FROM PUBLIC;
GRANT EXECUTE ON FUNCTION mtc.emit(text, text, text, json, uuid, timestamptz, text) TO PUBLIC;
