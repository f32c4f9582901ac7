-- The users of PostgreSQL in docker-compose.yml, made and brought up to date by the administrator
-- before each migration; every statement can be repeated.
--
--   application  owns the application's tables
--   mtc_owner    no login: owns schema mtc, and may of the application's tables what the adapter
--                needs
--   migrate      makes the schema, as mtc_owner
--   producer, scheduler, receiver, mtcctl: may what mtc_owner may. The sender needs no PostgreSQL.
\set ON_ERROR_STOP on
\set application `head -n 1 /run/secrets/postgres_application`
\set migrate `head -n 1 /run/secrets/postgres_migrate`
\set producer `head -n 1 /run/secrets/postgres_producer`
\set scheduler `head -n 1 /run/secrets/postgres_scheduler`
\set receiver `head -n 1 /run/secrets/postgres_receiver`
\set mtcctl `head -n 1 /run/secrets/postgres_mtcctl`
BEGIN;
SET LOCAL client_min_messages = warning;

SELECT format('CREATE ROLE %I', wanted)
  FROM unnest('{mtc_owner,application,migrate,producer,scheduler,receiver,mtcctl}'::text[]) wanted
 WHERE wanted NOT IN (SELECT rolname FROM pg_roles)
\gexec
ALTER ROLE application LOGIN PASSWORD :'application';
ALTER ROLE migrate LOGIN PASSWORD :'migrate';
ALTER ROLE producer LOGIN PASSWORD :'producer';
ALTER ROLE scheduler LOGIN PASSWORD :'scheduler';
ALTER ROLE receiver LOGIN PASSWORD :'receiver';
ALTER ROLE mtcctl LOGIN PASSWORD :'mtcctl';
GRANT mtc_owner TO migrate, producer, scheduler, receiver, mtcctl;
ALTER ROLE migrate SET role = mtc_owner; -- what it makes is the owner's

ALTER TABLE public.machines OWNER TO application;
ALTER TABLE public.setup_jobs OWNER TO application;
GRANT SELECT ON public.machines TO mtc_owner;
GRANT SELECT, UPDATE, TRIGGER ON public.setup_jobs TO mtc_owner;
GRANT CREATE ON DATABASE production_tracking TO mtc_owner;

-- A schema made before there was an owner belongs to the administrator. The sequence of a column
-- follows its table.
SELECT format('ALTER SCHEMA %s OWNER TO mtc_owner', n.oid::regnamespace)
  FROM pg_namespace n WHERE n.nspname = 'mtc'
 UNION ALL
SELECT format('ALTER TABLE %s OWNER TO mtc_owner', c.oid::regclass)
  FROM pg_class c
 WHERE c.relnamespace = to_regnamespace('mtc') AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                   AND d.objid = c.oid AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
 UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO mtc_owner', p.oid::regprocedure)
  FROM pg_proc p WHERE p.pronamespace = to_regnamespace('mtc')
\gexec
COMMIT;
