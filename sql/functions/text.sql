-- How values are written for MTConnect.

CREATE OR REPLACE FUNCTION mtc.utc_text(moment timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- What every encoding can say.
CREATE OR REPLACE FUNCTION mtc.ascii(words text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT regexp_replace(words, '[^\x01-\x7f]', '?', 'g')
$$;
