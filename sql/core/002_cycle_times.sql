-- Cycle times as MTConnect tells them, and the pulls that bring them.

-- An adapter replaces these two; without one no machine is known.
DO $$
BEGIN
    IF to_regclass('mtc.machine') IS NULL THEN
        CREATE VIEW mtc.machine AS
        SELECT NULL::integer AS machine_id, NULL::text AS machine, false AS active WHERE false;
        CREATE VIEW mtc.active_machine AS
        SELECT machine_id, machine FROM mtc.machine WHERE active;
    END IF;
END
$$;

CREATE TABLE mtc.cycle_time (
    machine_id   integer PRIMARY KEY,
    cycle_time_s numeric(9, 3) NOT NULL CHECK (cycle_time_s > 0),
    observed_at  timestamptz NOT NULL,
    source       text NOT NULL CHECK (source IN ('pull', 'webhook')),
    changed_at   timestamptz NOT NULL
) WITH (fillfactor = 50); -- room for the next version of every row on its own page
COMMENT ON TABLE mtc.cycle_time IS 'Last cycle time of each machine, to the millisecond';
COMMENT ON COLUMN mtc.cycle_time.observed_at IS
    'When this value was first seen; seeing it again writes nothing';

CREATE VIEW mtc.machine_cycle_time AS
SELECT c.machine_id, m.machine, c.cycle_time_s, c.observed_at, c.source, c.changed_at
  FROM mtc.cycle_time c LEFT JOIN mtc.machine m USING (machine_id);
COMMENT ON VIEW mtc.machine_cycle_time IS
    'mtc.cycle_time with the name of each machine at MTConnect';

-- The last pull: when the next is due, and what came of it. One row, whatever the number of
-- machines.
CREATE TABLE mtc.cycle_run (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    worker      text NOT NULL,
    asked       integer NOT NULL,
    answered    integer NOT NULL,
    changed     integer NOT NULL,
    failed      jsonb NOT NULL -- {"machine": "why", ...}
);
