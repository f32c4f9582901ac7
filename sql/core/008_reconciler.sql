-- What the reconciler knows: which events the broker may have lost, and how far markers have come.

-- One row: the round under way, and up to where the outbox has been looked through.
CREATE TABLE mtc.reconciler (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    round     bigint NOT NULL DEFAULT 0,
    round_at  timestamptz NOT NULL DEFAULT '-infinity',
    floor     bigint NOT NULL DEFAULT 0,
    bound     bigint NOT NULL DEFAULT 0,
    bound_xid xid8 NOT NULL DEFAULT '0',
    asked     boolean NOT NULL DEFAULT false
);
INSERT INTO mtc.reconciler DEFAULT VALUES;
COMMENT ON COLUMN mtc.reconciler.round IS
    'Number of the last markers; on disk before they are sent';
COMMENT ON COLUMN mtc.reconciler.floor IS
    'Every outbox row up to this id has an outcome or stands in mtc.unsettled';
COMMENT ON COLUMN mtc.reconciler.bound IS
    'Becomes the floor when all transactions before bound_xid have ended';
COMMENT ON COLUMN mtc.reconciler.asked IS 'Somebody wants a round at once (mtcctl audit)';

CREATE TABLE mtc.marker (
    partition  integer PRIMARY KEY,
    sent       bigint NOT NULL,
    sent_at    timestamptz NOT NULL,
    answered   bigint NOT NULL DEFAULT 0,
    unanswered integer NOT NULL DEFAULT 0
);
COMMENT ON TABLE mtc.marker IS 'The last marker through each partition, and the last that came out';
COMMENT ON COLUMN mtc.marker.unanswered IS 'Markers sent since one was answered';

-- Rows that were published and had no outcome at the beginning of a round. In a shop that is well
-- there are hardly any: nothing is written for an event that is delivered within a period.
CREATE TABLE mtc.unsettled (
    id            bigint PRIMARY KEY,
    machine       text NOT NULL,
    published_at  timestamptz,
    since         bigint,
    missing_at    timestamptz,
    missing_after bigint,
    lost          boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN mtc.unsettled.since IS
    'Markers of later rounds are behind it in its partition; NULL: to be said by the next round';
COMMENT ON COLUMN mtc.unsettled.missing_at IS
    'When a marker found it neither in its partition nor in a sender''s hands';
COMMENT ON COLUMN mtc.unsettled.missing_after IS 'A marker of a later round may say so again';
COMMENT ON COLUMN mtc.unsettled.lost IS 'It was found lost, and is published again, as a repeat';

-- Whoever relays must see which rows are repeats.
GRANT SELECT (id, lost) ON mtc.unsettled TO PUBLIC;
