-- What people did to events by hand.

ALTER TABLE mtc.outbox ADD COLUMN replay_of bigint, ADD COLUMN note text;
COMMENT ON COLUMN mtc.outbox.replay_of IS 'The row this one sends again (mtcctl replay)';
COMMENT ON COLUMN mtc.outbox.note IS 'What an operator did to it';

CREATE OR REPLACE VIEW mtc.event AS
SELECT id, event_id, machine, kind, type, created_at, occurred_at,
       CASE WHEN outcome IS NOT NULL THEN outcome
            WHEN published_at IS NOT NULL THEN 'published'
            ELSE 'waiting' END AS state,
       published_at, outcome_at, attempts, status, coalesce(reason, error) AS reason, replay_of,
       note
  FROM mtc.outbox;
