-- Least privilege: each role may execute the functions of its statements, and nothing else.
SELECT no_plan();
\ir lib/stmts.sql

SELECT set_eq(format($$SELECT proname::text FROM pg_proc
     WHERE pronamespace = 'media'::regnamespace AND has_function_privilege(%L, oid, 'EXECUTE')$$, role),
  format('SELECT function FROM test.uses WHERE role = %L AND function IS NOT NULL', role), role || ' may execute exactly its functions') FROM roles;
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'media'::regnamespace
    AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))$$, 'everybody may execute none');
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'media'::regnamespace AND proowner <> 'media_owner'::regrole$$,
  'all belong to an owner who is nobody special');
SELECT is_empty($$SELECT proname FROM pg_proc WHERE pronamespace = 'media'::regnamespace
    AND prosecdef <> (EXISTS (SELECT FROM test.stmts WHERE function = proname))$$, 'those of the programs run as the owner, no other does');

SELECT is_empty(format($$SELECT c.relname, p FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
   WHERE c.relnamespace = 'media'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND has_table_privilege(%L, c.oid, p)$$, role),
  role || ' has no privilege on a table') FROM (SELECT role FROM roles UNION SELECT 'public') r;
SELECT is_empty(format($$SELECT c.relname, p FROM pg_class c, unnest('{SELECT,INSERT,UPDATE,REFERENCES}'::text[]) p
   WHERE c.relnamespace = 'media'::regnamespace AND c.relkind IN ('r', 'v', 'm', 'p', 'f') AND has_any_column_privilege(%L, c.oid, p)$$, role),
  role || ' has none on a column') FROM roles;
SELECT is_empty(format($$SELECT c.relname, p FROM pg_class c, unnest('{SELECT,USAGE,UPDATE}'::text[]) p
   WHERE c.relnamespace = 'media'::regnamespace AND c.relkind = 'S' AND has_sequence_privilege(%L, c.oid, p)$$, role),
  role || ' has none on a sequence') FROM roles;
SELECT ok(has_schema_privilege(role, 'media', 'USAGE') AND NOT has_schema_privilege(role, 'media', 'CREATE'),
  role || ' makes nothing in the schema') FROM roles;
SELECT ok(NOT has_schema_privilege('public', 'media', 'USAGE') AND NOT has_schema_privilege('public', 'media', 'CREATE'),
  'everybody may not even look into the schema');
SELECT is_empty($$SELECT rolname FROM pg_roles JOIN test.roles ON role = rolname
   WHERE rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls$$, 'none of them is special');
SELECT is_empty($$SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE member IN (SELECT role::regrole FROM test.roles)$$,
  'none is a member of another');

-- what they truly get
SELECT is_empty(format($$SELECT c.relname, s, o FROM pg_class c, unnest(ARRAY['SELECT FROM media.%%I', 'DELETE FROM media.%%I', 'TRUNCATE media.%%I',
     'INSERT INTO media.%%I DEFAULT VALUES', 'LOCK media.%%I', 'DROP TABLE media.%%I', 'ALTER TABLE media.%%I DISABLE TRIGGER ALL',
     'CREATE INDEX ON media.%%I ((1))', 'COPY media.%%I TO STDOUT', 'CREATE TEMP VIEW peep AS TABLE media.%%I; SELECT FROM peep']) s,
     test.outcome(%L, format(s, c.relname)) o
   WHERE c.relnamespace = 'media'::regnamespace AND c.relkind = 'r' AND o <> '42501'$$, role), role || ' is refused by every table') FROM roles;
SELECT is(outcome(role, s), '42501', role || ' is refused: ' || s) FROM roles, unnest(ARRAY[
  'CREATE TABLE media.mine ()', 'CREATE TABLE public.mine ()', 'CREATE FUNCTION media.mine() RETURNS int LANGUAGE sql AS ''SELECT 1''',
    'SET ROLE media_owner', 'SET SESSION AUTHORIZATION postgres',
  'ALTER DATABASE privileges SET media.object_grace = ''0s''', 'DO $do$ BEGIN PERFORM media.job_lock(NULL); END $do$',
    'DO $do$ BEGIN PERFORM media.media_settle(NULL); END $do$']) s;
CREATE ROLE nobody LOGIN;
SELECT session('nobody', 'nobody') \gset _
SELECT is_empty($$SELECT name, o FROM test.stmts, test.outcome('nobody', format('PREPARE %I AS %s', name, text)) o
   WHERE function IS NOT NULL AND o <> '42501'$$,
  'another login cannot even prepare a statement');

-- what a later migration adds is closed until it is granted
SET ROLE media_owner;
CREATE FUNCTION media.later() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE media.later_table ();
RESET ROLE;
SELECT ok(NOT has_function_privilege('public', 'media.later()', 'EXECUTE'), 'a later function is closed');
SELECT is_empty($$SELECT role FROM test.roles
   WHERE has_function_privilege(role, 'media.later()', 'EXECUTE') OR has_table_privilege(role, 'media.later_table', 'SELECT')$$, 'to every role');
SELECT * FROM finish();
