-- Which functions this database has. Until here they were made by the core migrations, and there
-- was a number 4 that held nothing else; now each stands in one file under sql/functions/.

CREATE TABLE mtc.function_family (
    family     text PRIMARY KEY,
    digest     text NOT NULL,
    program    text NOT NULL,
    applied_at timestamptz NOT NULL
);
COMMENT ON TABLE mtc.function_family IS 'What mtcctl migrate has applied of sql/functions/';
COMMENT ON COLUMN mtc.function_family.digest IS 'SHA-256 of the file; another one: apply it again';
COMMENT ON COLUMN mtc.function_family.program IS 'Version of the mtcctl that applied it';
