-- Temporary tables and search paths of a caller do not fool the functions that run as the owner.
SELECT no_plan();
\ir lib/stmts.sql
SELECT person('ann') AS ann, media.uuid7() AS evil, media.uuid7() AS u \gset
GRANT TEMPORARY ON DATABASE search_path TO PUBLIC;

-- A temporary twin of every table, of every type, in each role's session, first in its search path.
CREATE FUNCTION test.twins() RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(format('CREATE TEMP TABLE %I (%s);', c.relname, (
    SELECT string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' ORDER BY a.attnum)
      FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0)), ' ')
    FROM pg_class c WHERE c.relnamespace = 'media'::regnamespace AND c.relkind = 'r'
$$;
SELECT tell(role, twins() || 'SET search_path = pg_temp, media') FROM roles \g /dev/null
SELECT tell(role, format($$INSERT INTO users (id, email, password_hash, roles) VALUES (%1$L, 'evil@example.test', '$y$', '{admin}');
  INSERT INTO pipelines VALUES ('evil', 'e', '{e}', true);
  INSERT INTO media (id, owner_id, name, object_key, token_epoch, state, pipeline) VALUES (%1$L, %2$L, 'evil', 'stolen', 1, 'ready', 'one');
  INSERT INTO jobs (id, media_id, owner_id, step, queue, state, attempt, max_attempts, fence, priority, params, not_before)
    VALUES (%1$L, %1$L, %2$L, 'work', 'short', 'queued', 0, 1, 0, 1000, '{}', now() - interval '1h');
  INSERT INTO objects (object_key, media_id, state, retry_at) VALUES ('evil', %1$L, 'doomed', now() - interval '1h');
  INSERT INTO outbox (id, queue, job_id, message, retry_at, created_at)
    VALUES (1, 'short', %1$L, 'evil', now() - interval '1h', now() - interval '1h');
  INSERT INTO uploads (id, owner_id, object_key, name, heartbeat_at)
    VALUES (%1$L, %2$L, 'evil', 'evil', now() - interval '1h');
  INSERT INTO upload_keys (owner_id, key, upload_id, request, answer, expires_at)
    VALUES (%2$L, 'key', %1$L, '{}', 'evil', now() + interval '1h')$$, :'evil', :'ann'))
  FROM roles \g /dev/null
SELECT is(ask(role, 'SELECT email FROM users'), 'evil@example.test', 'the twin is what ' || role || ' sees') FROM roles;

CREATE FUNCTION test.rows(p_role text, p_call text) RETURNS text LANGUAGE sql AS $$
  SELECT test.ask(p_role, format('SELECT coalesce(string_agg(x::text, '' ''), ''none'') FROM media.%s x', p_call))
$$;
SELECT is(rows('media_gateway', c), r, split_part(c, '(', 1)) FROM (VALUES
  ('login_lookup(''evil@example.test'')', 'none'),
  (format('session_open(%L, %L, %L, 60)', :'evil', 'v', repeat('a', 64)), '(credentials_invalid,)'),
  (format('session_refresh(%L, %L, 60)', repeat('e', 64), repeat('f', 64)), '(token_invalid,"there is no such refresh token",,,,)'),
  (format('me(%L, NULL, NULL)', :'evil'), 'none'),
  (format('upload_open(%L, %L, ''k'', ''n'', NULL, NULL, ''one'', NULL, 1, 1, NULL, NULL, true, ''key'', NULL, NULL)', :'u', :'evil'),
    '(token_invalid,"the account of this token is gone or disabled",,,,,)'),
  (format('upload_open(%L, %L, ''k'', ''n'', NULL, NULL, ''evil'', NULL, 1, 1, NULL, NULL, true, ''key'', NULL, NULL)', :'u', :'ann'),
    '(pipeline_unknown,"there is no pipeline ""evil""",,,,,)'),
  ('upload_check(''evil'', NULL)', '(pipeline_unknown,"there is no pipeline ""evil""")'),
  (format('upload_reserve(%L, 1, NULL)', :'evil'), '(upload_lost,,,,)'),
  (format('upload_replay(%L, ''key'', ''n'', NULL, NULL, ''one'', NULL, 1, %L)', :'ann', repeat('a', 64)), '(upload_lost,,,)'),
  (format('upload_s3id(%L, ''s3'')', :'evil'), 'gone'),
  (format('upload_doubt(%L)', :'evil'), 'gone'),
  (format('media_get(%L, %L)', :'ann', :'evil'), 'none'),
  (format('media_object(%L, %L, ''original'')', :'ann', :'evil'), '(not_found,,,,,,,,,,)'),
  (format('play_object(%L, 1, NULL, ''original'')', :'evil'), '(not_found,,,,,,,,,,)'),
  (format('media_patch(%L, %L, true, ''t'', NULL)', :'ann', :'evil'), '(not_found,,)'),
  (format('media_run(%L, %L, ''evil'', NULL)', :'ann', :'evil'), '(not_found,,,[])'),
  (format('media_delete(%L, %L)', :'ann', :'evil'), 'not_found'),
  (format('media_epoch(%L, %L)', :'ann', :'evil'), 'none'),
  (format('media_list(%L, 10, NULL, NULL, NULL, NULL, NULL)', :'ann'), '(ok,,"{""next"": null, ""items"": []}")'),
  (format('upload_open(%L, %L, ''k'', ''evil'', NULL, NULL, ''one'', NULL, 1, 1, NULL, NULL, true, ''key'', NULL, NULL)', :'u', :'ann'),
    '(ok,,,1,,,)')) t (c, r);
SELECT is((SELECT object_key FROM media.uploads WHERE id = :'u'), 'k', 'an upload goes to the real table');
SELECT matches(rows('media_gateway',
  format('upload_commit(%L, ''n'', NULL, ''video/mp4'', 1, %L, ''e'', ''one'', NULL, NULL, NULL, NULL)', :'u', repeat('a', 64))), '^\(ok,', 'upload_commit');
SELECT is((SELECT count(*)::int FROM media.media WHERE id = :'u'), 1, 'so does its media');
SELECT is(ask(r, 'SELECT concat_ws('' '', (SELECT count(*) FROM media), (SELECT count(*) FROM jobs), (SELECT count(*) FROM outbox),
    (SELECT count(*) FROM objects), (SELECT state FROM jobs))'),
  '1 1 1 1 queued', 'and nothing to the twins of ' || r) FROM unnest(ARRAY['media_gateway', 'media_worker', 'media_janitor', 'media_ctl']) r;
SELECT is(rows('media_worker', format('job_object(%L, 0, ''k2'')', :'evil')), 'lost', 'job_object');
SELECT is(ask('media_worker', 'SELECT id::text FROM media.job_claim(''short'', ''w'', 30, ''{work}'')'), job_id(:'u', 'work')::text,
  'job_claim gives the real job');
SELECT is(rows('media_notifier', 'notify_claim(''w'', 30)'), 'none', 'notify_claim');
SELECT matches(rows('media_worker', format('job_finish(%L, 1, ''{}'')', job_id(:'u', 'work'))), '^\(ok,', 'job_finish');
SELECT is((SELECT state FROM media.media WHERE id = :'u'), 'ready', 'of the real media');
SELECT is(rows('media_janitor', c), r, c) FROM (VALUES ('schema_numbers()', '(16,16)'),
  ('janitor_doomed(10)', 'none'), ('janitor_strays(10)', 'none'), ('janitor_uploads(60)', '0'),
  ('janitor_leases()', '0')) t (c, r);
SELECT is(ask('media_janitor', 'SELECT string_agg(message, '''') LIKE ''%evil%'' FROM media.janitor_outbox(0, 10)'), 'f', 'janitor_outbox');
SELECT is(rows('media_ctl', format('ctl_media_rm(%L)', :'evil')), 'not_found', 'ctl_media_rm');
SELECT is(rows('media_ctl', 'ctl_user_passwd(''evil@example.test'', ''$y$'')'), 'not_found', 'ctl_user_passwd');
SELECT is(ask('media_ctl', 'SELECT string_agg(email, '' '') FROM media.ctl_user_list()'), 'ann@example.test', 'ctl_user_list');

-- functions and operators of the caller
SELECT is(outcome('media_gateway', 'CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS ''SELECT ''''epoch''''::timestamptz'''),
  '00000', 'a caller may make functions of its own');
SELECT tell('media_gateway', $$CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT ''epoch''::timestamptz';
  CREATE FUNCTION pg_temp.lower(text) RETURNS text LANGUAGE sql AS 'SELECT ''ann@example.test''';
  CREATE FUNCTION pg_temp.text_evil(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
  CREATE OPERATOR pg_temp.= (FUNCTION = pg_temp.text_evil, LEFTARG = text, RIGHTARG = text)$$) \gset _
SELECT is(rows('media_gateway', 'login_lookup(''other@example.test'')'), 'none', 'which are not called');
SELECT matches(rows('media_gateway', 'login_lookup(''ANN@example.test'')'), :'ann', 'lower() is the real one');
SELECT * FROM finish();
