-- How often an event was put back: its deaths are told apart by that, in whatever order they come.

ALTER TABLE mtc.outbox ADD COLUMN requeues integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN mtc.outbox.requeues IS
    'How often an operator has put it back after it had died; a death from before that is history';
