-- version: 1
-- Fits mtc onto a job shop's work orders: tables shop.work_center and shop.work_order, which stay
-- as they are. Applied again whenever its version rises, so every statement can be repeated.
-- docs/adapters.md goes through it part by part.
--
--   shop.work_order, INSERT or change of its state  ->  setup.queued, setup.started or
--                                                       setup.completed of its work center
--   unfinished and moved away, or DELETE            ->  setup.removed of the one it leaves
--   mtc.setting 'mirror_cycle_time'                 ->  on: a work center's cycle time, in
--                                                       milliseconds, also goes into its cycle_ms

-- 1. Which machines there are. Here they have codes; mtc knows each by a number as well, which it
-- gives itself. A code that is gone keeps its number, for the ledger and for its return.
CREATE TABLE IF NOT EXISTS mtc.work_center_number (
    machine_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code       text NOT NULL UNIQUE
);

CREATE OR REPLACE VIEW mtc.machine AS
SELECT n.machine_id, w.code AS machine, w.retired_at IS NULL AS active
  FROM shop.work_center w JOIN mtc.work_center_number n ON n.code = w.code;

CREATE OR REPLACE VIEW mtc.active_machine AS
SELECT machine_id, machine FROM mtc.machine WHERE active;

-- The host's own table is asked, not the view: a machine counts from its first moment, and has its
-- number a few seconds later.
CREATE OR REPLACE FUNCTION mtc.is_known_machine(machine text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM shop.work_center w WHERE w.code = is_known_machine.machine)
$$;

-- Only the active relay calls this, so there is nobody to race with, and no transaction of the
-- application pays for it.
CREATE OR REPLACE FUNCTION mtc.tick() RETURNS void
LANGUAGE sql AS $$
    INSERT INTO mtc.work_center_number (code)
    SELECT w.code FROM shop.work_center w
     WHERE w.code <> ''
       AND NOT EXISTS (SELECT FROM mtc.work_center_number n WHERE n.code = w.code)
     ORDER BY w.code
    ON CONFLICT (code) DO NOTHING
$$;
SELECT mtc.tick();

-- 2. Where events go, and what is sent.
CREATE OR REPLACE FUNCTION mtc.route(kind text, type text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE kind WHEN 'setup' THEN '/api/ext/setup' WHEN 'event' THEN '/api/ext/event' END
$$;

CREATE OR REPLACE FUNCTION mtc.body(kind text, machine text, type text, payload json,
                                    occurred_at timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT '{"machineId":' || to_json(machine) || ',"eventType":' || to_json(type)
        || ',"timestamp":"' || mtc.utc_text(occurred_at) || '","data":' || payload || '}'
$$;

-- 3. Which change makes an event. With an argument it is told of the row as it was.
CREATE OR REPLACE FUNCTION mtc.on_work_order() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v_order   shop.work_order;
    v_type    text;
    v_payload json;
    v_problem text;
BEGIN
    BEGIN -- whatever is wrong with the row is the event's problem, never the application's
        IF TG_NARGS > 0 THEN
            v_order := OLD;
            v_type := 'setup.removed';
        ELSE
            v_order := NEW;
            v_type := CASE WHEN NEW.finished THEN 'setup.completed'
                           WHEN NEW.running THEN 'setup.started' ELSE 'setup.queued' END;
        END IF;
        IF coalesce(v_order.work_center, '') = '' THEN
            v_problem := format('work order %s has no work center', v_order.id);
        END IF;
        v_payload := json_build_object('workOrder', v_order.id, 'item', v_order.item,
                                       'quantity', v_order.quantity,
                                       'due', mtc.utc_text(v_order.due));
    EXCEPTION WHEN OTHERS THEN
        v_problem := SQLERRM;
    END;
    PERFORM mtc.append('setup', v_order.work_center, v_type, v_payload, NULL, NULL,
                       current_setting('mtc.traceparent', true), v_problem);
    RETURN NULL;
END
$$;

-- No "UPDATE OF columns": that would not see what a trigger of the host's own changes in a row.
CREATE OR REPLACE TRIGGER mtc_order_inserted AFTER INSERT ON shop.work_order
FOR EACH ROW EXECUTE FUNCTION mtc.on_work_order();
CREATE OR REPLACE TRIGGER mtc_order_changed AFTER UPDATE ON shop.work_order
FOR EACH ROW WHEN ((OLD.work_center, OLD.running, OLD.finished)
                   IS DISTINCT FROM (NEW.work_center, NEW.running, NEW.finished))
EXECUTE FUNCTION mtc.on_work_order();
CREATE OR REPLACE TRIGGER mtc_order_moved AFTER UPDATE ON shop.work_order
FOR EACH ROW WHEN (NOT OLD.finished AND OLD.work_center IS NOT NULL
                   AND OLD.work_center IS DISTINCT FROM NEW.work_center)
EXECUTE FUNCTION mtc.on_work_order('removed');
CREATE OR REPLACE TRIGGER mtc_order_deleted AFTER DELETE ON shop.work_order
FOR EACH ROW WHEN (NOT OLD.finished AND OLD.work_center IS NOT NULL)
EXECUTE FUNCTION mtc.on_work_order('removed');

-- 4. Where cycle times are carried. A row the application has locked is left for the next batch
-- that names the machine: nobody waits for anybody.
INSERT INTO mtc.setting (name, value) VALUES ('mirror_cycle_time', 'off')
ON CONFLICT (name) DO NOTHING;

CREATE OR REPLACE FUNCTION mtc.mirror_cycle_times(machine_ids integer[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT value FROM mtc.setting WHERE name = 'mirror_cycle_time') IS DISTINCT FROM 'on' THEN
        RETURN;
    END IF;
    WITH stale AS MATERIALIZED (
        SELECT w.code, round(c.cycle_time_s * 1000)::integer AS ms
          FROM shop.work_center w JOIN mtc.machine m ON m.machine = w.code
               JOIN mtc.cycle_time c ON c.machine_id = m.machine_id
         WHERE m.machine_id = ANY (machine_ids)
           AND w.cycle_ms IS DISTINCT FROM round(c.cycle_time_s * 1000)::integer
         ORDER BY w.code FOR NO KEY UPDATE OF w SKIP LOCKED
    )
    UPDATE shop.work_center w SET cycle_ms = stale.ms FROM stale WHERE w.code = stale.code;
END
$$;

-- 5. How the host's tables are, for mtcctl doctor.
CREATE OR REPLACE FUNCTION mtc.adapter_health()
RETURNS TABLE (verdict text, what text, detail text, advice text)
LANGUAGE sql STABLE AS $$
    SELECT * FROM mtc.trigger_health('work_orders', 'shop.work_order',
        '{mtc_order_inserted,mtc_order_changed,mtc_order_moved,mtc_order_deleted}')
$$;
