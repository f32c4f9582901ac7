-- The id of an event: its idempotency key at MTConnect.

-- UUID version 7 (RFC 9562): ordered by time, so that the index on it grows at one end.
CREATE OR REPLACE FUNCTION mtc.new_event_id() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(set_bit(set_bit(
               overlay(uuid_send(gen_random_uuid())
                       PLACING substring(int8send((extract(epoch FROM clock_timestamp())
                                                   * 1000)::bigint) FROM 3)
                       FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;
