-- Who may call what. Runs at the end of each transaction that makes functions, an adapter's too: a
-- new function may be called by everybody until it is forbidden. Grants to a site's own roles stay.

GRANT USAGE ON SCHEMA mtc TO PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mtc FROM PUBLIC;

-- The application emits, whatever role it has.
GRANT EXECUTE ON FUNCTION mtc.emit(text, text, text, json, uuid, timestamptz, text) TO PUBLIC;

-- mtcctl doctor is to tell a role without rights what it may not do; see functions/health.sql.
GRANT EXECUTE ON FUNCTION mtc.health(), mtc.adapter_health() TO PUBLIC;
