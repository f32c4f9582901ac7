-- Who may call what. Runs at the end of each transaction that makes functions, an adapter's too: a
-- new function may be called by everybody until it is forbidden. Grants to a site's own roles stay.

GRANT USAGE ON SCHEMA mtc TO PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mtc FROM PUBLIC;

-- The application emits, whatever role it has.
GRANT EXECUTE ON FUNCTION mtc.emit(text, text, text, json, uuid, timestamptz, text) TO PUBLIC;

-- mtcctl doctor is to tell a role without rights what it may not do; see functions/health.sql.
GRANT EXECUTE ON FUNCTION mtc.health(), mtc.adapter_health(),
    mtc.trigger_health(text, text, text[]), mtc.count_missing() TO PUBLIC;

-- A function that came later, and serves whoever may call an older one, may be called by the same
-- roles: or an upgrade would stop a site whose programs have a role of their own.
DO $$
DECLARE
    v record;
BEGIN
    FOR v IN
        SELECT f.later, a.grantee::regrole AS role
          FROM (VALUES
                   ('mtc.relay_step(bigint[], bigint[], integer)',
                    'mtc.relay_step(bigint[], bigint[], integer, bigint, text[])'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.row_bytes(mtc.outbox)'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.row_problem(mtc.outbox)'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.set_aside(bigint[])'),
                   ('mtc.relay_step(bigint[], bigint[], integer)',
                    'mtc.set_aside(bigint[], text[])'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.may_partition(text)'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.begin_term()'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.term_begun(bigint)'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.oldest_waiting()'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.ascii(text)'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.reconcile_due(interval)'),
                   ('mtc.relay_step(bigint[], bigint[], integer)', 'mtc.note_unsettled(bigint)'),
                   ('mtc.relay_step(bigint[], bigint[], integer)',
                    'mtc.send_markers(integer, boolean, bigint)'),
                   ('mtc.apply_outcomes(jsonb)', 'mtc.unsettled_machines()'),
                   ('mtc.apply_outcomes(jsonb)',
                    'mtc.apply_answer(bigint, bigint, integer, bigint[], text[], interval,'
                    ' bigint)'),
                   ('mtc.apply_outcomes(jsonb)', 'mtc.apply_readable_outcomes(jsonb)'),
                   ('mtc.apply_outcomes(jsonb)', 'mtc.row_problem(mtc.outbox)'),
                   ('mtc.replay(text, timestamptz, timestamptz, uuid[], boolean, boolean)',
                    'mtc.put_back(bigint, uuid)'),
                   ('mtc.replay(text, timestamptz, timestamptz, uuid[], boolean, boolean)',
                    'mtc.watch_again(bigint)'),
                   ('mtc.replay(text, timestamptz, timestamptz, uuid[], boolean, boolean)',
                    'mtc.ask_round()'),
                   ('mtc.replay(text, timestamptz, timestamptz, uuid[], boolean, boolean)',
                    'mtc.restored()'),
                   ('mtc.replay(text, timestamptz, timestamptz, uuid[], boolean, boolean)',
                    'mtc.markers()'),
                   ('mtc.replay(text, timestamptz, timestamptz, uuid[], boolean, boolean)',
                    'mtc.missing()'),
                   ('mtc.replay(text, timestamptz, timestamptz, uuid[], boolean, boolean)',
                    'mtc.let_go(bigint, uuid, integer, text)'),
                   ('mtc.apply_cycle_times(jsonb)', 'mtc.try_mirror(integer[])'),
                   ('mtc.finish_cycle_run(jsonb, double precision, text, integer, integer, integer,
                                          jsonb)', 'mtc.unconfirmed()'))
               AS f (older, later)
               JOIN pg_proc p ON p.oid = to_regprocedure(f.older)
               CROSS JOIN LATERAL aclexplode(p.proacl) AS a
         WHERE a.privilege_type = 'EXECUTE' AND a.grantee NOT IN (0, p.proowner)
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', v.later, v.role);
    END LOOP;
END
$$;
