-- Every statement of stmt.h prepares, and may be executed, as the role that uses it and as no other.
SELECT no_plan();
\ir lib/stmts.sql

SELECT is((SELECT count(*)::int FROM stmts), (SELECT count(*)::int FROM regexp_matches(:'stmt_h', '\n    X\(\w+,', 'g')),
  'every X of the header was read');
SELECT ok((SELECT count(*) >= 50 FROM stmts), 'they are many');
SELECT set_eq('SELECT DISTINCT section FROM test.stmts', ARRAY['all', 'gateway', 'workers', 'notifier', 'janitor', 'mediactl'], 'from every section');
SELECT is((SELECT string_agg(name, ' ') FROM stmts WHERE function IS NULL), 'PING JANITOR_LEAD', 'all but two call a function');
SELECT is((SELECT text FROM stmts WHERE name = 'SESSION_OPEN'), 'SELECT code, sid FROM media.session_open($1::uuid, $2, $3, $4::int)',
  'the texts are put together');

SELECT is(outcome(role, format('PREPARE %I AS %s', name, text)), '00000', role || ' prepares ' || name) FROM uses ORDER BY role, name;
-- a prepared statement outlives the rollback
SELECT is(ask(role, 'SELECT string_agg(name || cardinality(parameter_types), '' '' ORDER BY name) FROM pg_prepared_statements'),
  string_agg(name || nparams, ' ' ORDER BY name COLLATE "C"), role || ': they have as many parameters as stmt.h says') FROM uses GROUP BY role;
CREATE FUNCTION test.run_sql(p_name text, p_nparams int) RETURNS text LANGUAGE sql AS $$
  SELECT format('DO $do$ BEGIN EXECUTE %L; END $do$', format('EXECUTE %I%s', p_name,
    CASE WHEN p_nparams > 0 THEN '(' || array_to_string(array_fill('NULL'::text, ARRAY[p_nparams]), ',') || ')' ELSE '' END))
$$;
-- null for everything: tables may refuse that (class 23), nothing else may go wrong
SELECT is_empty(format($$SELECT name, o FROM test.uses, test.outcome(role, test.run_sql(name, nparams)) o
   WHERE role = %L AND o <> '00000' AND left(o, 2) <> '23'$$, role), role || ' executes its statements') FROM roles;
SELECT is_empty(format($$SELECT name, o FROM test.stmts s,
    test.outcome(%1$L, format('DO $do$ BEGIN EXECUTE %%L; END $do$', regexp_replace(text, '\$\d+', 'NULL', 'g'))) o
   WHERE function IS NOT NULL AND o <> '42501' AND name NOT IN (SELECT name FROM test.uses WHERE role = %1$L)$$, role),
  role || ' executes no other') FROM roles;

-- the columns that come back are those the comment over the statement and the program count on
SELECT is(s.text, format('SELECT %s FROM media.%s',
    (SELECT string_agg(a, ', ' ORDER BY i) FROM unnest(p.proargnames) WITH ORDINALITY x (a, i) WHERE p.proargmodes[i] = 't'),
                         substr(s.text, strpos(s.text, 'media.') + 6)), name || ' takes every column, in order')
  FROM stmts s JOIN pg_proc p ON p.proname = s.function AND p.pronamespace = 'media'::regnamespace WHERE p.proargmodes && '{t}' ORDER BY name;
SELECT * FROM finish();
