-- By whose clock an observation is dated: MTConnect's times are compared with each other only,
-- never with ours. Of what was observed until here nobody knows, so it gives way to what is next.

ALTER TABLE mtc.cycle_time ADD COLUMN dated boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN mtc.cycle_time.observed_at IS
    'When this value was first seen, by the clock that dated says; seeing it again writes nothing';
COMMENT ON COLUMN mtc.cycle_time.dated IS
    'observed_at is MTConnect''s; else ours: the arrival of the web-hook, or the question';

CREATE OR REPLACE VIEW mtc.machine_cycle_time AS
SELECT c.machine_id, m.machine, c.cycle_time_s, c.observed_at, c.source, c.changed_at, c.dated
  FROM mtc.cycle_time c LEFT JOIN mtc.machine m USING (machine_id);
