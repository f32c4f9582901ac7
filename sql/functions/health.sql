-- What mtcctl doctor asks of this database. It runs with the rights of whoever calls it: it tells
-- what that role may do, and shows nothing that the role could not see by itself.

-- For adapters: are their triggers on a table of the host there, and not disabled? A table that was
-- made anew, by a restore for instance, has lost them. One row.
CREATE OR REPLACE FUNCTION mtc.trigger_health(adapter text, host_table text, wanted text[])
RETURNS TABLE (verdict text, what text, detail text, advice text)
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN f.missing IS NULL AND f.disabled IS NULL THEN 'ok' ELSE 'ill' END, 'triggers',
           CASE WHEN to_regclass(host_table) IS NULL THEN format('there is no %s', host_table)
                WHEN f.missing IS NOT NULL THEN
                    format('%s lacks %s: changes make no events', host_table, f.missing)
                WHEN f.disabled IS NOT NULL THEN
                    format('disabled on %s: %s; changes make no events', host_table, f.disabled)
                ELSE 'on ' || host_table END,
           CASE WHEN f.missing IS NOT NULL THEN
                    format('DELETE FROM mtc.schema_version WHERE component = %L, then'
                           ' mtcctl migrate --adapter %s', adapter, adapter)
                ELSE f.enable END
      FROM (SELECT string_agg(w.name, ', ') FILTER (WHERE t.oid IS NULL) AS missing,
                   string_agg(w.name, ', ') FILTER (WHERE t.tgenabled = 'D') AS disabled,
                   string_agg(format('ALTER TABLE %s ENABLE TRIGGER %s', host_table, w.name), '; ')
                       FILTER (WHERE t.tgenabled = 'D') AS enable
              FROM unnest(wanted) AS w (name)
                   LEFT JOIN pg_trigger t ON t.tgname = w.name
                                         AND t.tgrelid = to_regclass(host_table)) f
$$;

-- verdict: ok, warning or ill. advice: what to do, NULL when it is well. An adapter adds what it
-- knows of the host's tables by its own mtc.adapter_health().
CREATE OR REPLACE FUNCTION mtc.health()
RETURNS TABLE (verdict text, what text, detail text, advice text)
LANGUAGE plpgsql AS $$
DECLARE
    lock_key  CONSTANT oid := 7173219; -- of all advisory locks of mtc; the second key says whose
    relay     CONSTANT oid := 1;
    scheduler CONSTANT oid := 3;
    forbidden text;
    active    oid[];
    waiting   bigint;
    missing   bigint;
    age_s     bigint;
BEGIN
    RETURN QUERY SELECT h.verdict, h.what, h.detail, h.advice FROM mtc.adapter_health() h;

    SELECT string_agg(f, ', ') INTO forbidden
      FROM unnest(ARRAY['mtc.relay_step(bigint[], bigint[], integer, bigint, text[])',
                        'mtc.apply_outcomes(jsonb)',
                        'mtc.sweep(bigint, interval)', 'mtc.tick()', 'mtc.relay_awake(boolean)',
                        'mtc.begin_term()', 'mtc.oldest_waiting()', 'mtc.apply_cycle_times(jsonb)',
                        'mtc.cycle_run_due(interval)', 'mtc.send_markers(integer, boolean, bigint)',
                        'mtc.apply_answer(bigint, bigint, integer, bigint[], text[], interval,'
                        ' bigint)']) f
     WHERE NOT coalesce(has_function_privilege(current_user, to_regprocedure(f), 'EXECUTE'), false);
    IF forbidden IS NULL THEN
        RETURN QUERY VALUES ('ok', 'permissions', 'the functions of schema mtc may be called',
                             NULL::text);
    ELSE
        RETURN QUERY VALUES ('ill', 'permissions',
                             format('%s may not call %s', current_user, forbidden),
                             'run the programs as the owner of schema mtc, or GRANT EXECUTE on'
                             ' these functions');
    END IF;

    BEGIN
        SELECT count(*), extract(epoch FROM clock_timestamp() - min(o.created_at))::bigint
          INTO waiting, age_s FROM mtc.outbox o WHERE o.published_at IS NULL;
        missing := mtc.count_missing();
    EXCEPTION WHEN insufficient_privilege THEN
        RETURN; -- this role can't be told how events fare
    END;
    -- Advisory locks are a database's own, but pg_locks shows those of the whole server.
    active := ARRAY(SELECT l.objid
                      FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                     WHERE l.locktype = 'advisory' AND l.granted AND l.classid = lock_key
                       AND d.datname = current_database());
    RETURN QUERY
    SELECT CASE WHEN f.well THEN 'ok' ELSE f.otherwise END, f.what,
           CASE WHEN f.well THEN f.good ELSE f.bad END,
           CASE WHEN f.well THEN NULL ELSE f.remedy END
      FROM (VALUES
        (1, relay = ANY (active), 'ill', 'relay', 'one mtc-producer is active',
         'no mtc-producer is active', 'start mtc-producer, and see its log'),
        (2, waiting = 0 OR age_s <= 30, 'ill', 'outbox', format('%s events wait', waiting),
         format('%s events wait, the oldest for %s s', waiting, age_s),
         'see the log of mtc-producer, and RabbitMQ''s alarms'),
        (3, missing = 0, 'warning', 'markers', 'no published event is missing',
         format('%s published events are missing: in no partition, and in no sender''s hands',
                missing),
         'they are published again by the round after next; see who purged or deleted a queue'),
        (4, scheduler = ANY (active), 'warning', 'scheduler', 'one mtc-scheduler is active',
         'no mtc-scheduler is active: cycle times don''t come back',
         'start mtc-scheduler, or mtc-scheduler --once from cron')
      ) f (n, well, otherwise, what, good, bad, remedy)
     ORDER BY f.n;
END
$$;
