-- The outbox that is also the ledger. Its functions are under sql/functions/.

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

-- What the relay reads. The predicate's column moves once in a row's life.
CREATE INDEX outbox_waiting ON mtc.outbox (id) WHERE published_at IS NULL;
-- Not unique: a unique index would make an emit wait for another one with the same id that is not
-- yet committed.
CREATE INDEX outbox_event_id ON mtc.outbox (event_id);

CREATE VIEW mtc.event AS
SELECT id, event_id, machine, kind, type, created_at, occurred_at,
       CASE WHEN outcome IS NOT NULL THEN outcome
            WHEN published_at IS NOT NULL THEN 'published'
            ELSE 'waiting' END AS state,
       published_at, outcome_at, attempts, status, coalesce(reason, error) AS reason
  FROM mtc.outbox;
COMMENT ON VIEW mtc.event IS 'The ledger: waiting, published, delivered or dead';

-- Until when a relay asks to be woken by NOTIFY. One that reads all the time does not ask; one that
-- is stopped or gone soon no longer does. Unlogged: after a crash it is empty, and nobody asks.
CREATE UNLOGGED TABLE mtc.relay (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    asleep_until timestamptz NOT NULL
);
