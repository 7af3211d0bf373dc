-- Every constraint of the schema refuses what it is there for, and takes what lies just inside.
SELECT no_plan();

SELECT person('ann') AS ann, media.uuid7() AS unknown \gset
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job \gset

-- A good row of each table; a test changes one thing about it.
CREATE TABLE test.good (name text PRIMARY KEY, row jsonb NOT NULL);
INSERT INTO test.good
  SELECT t.name, t.row || jsonb_build_object('created_at', now()) FROM (VALUES
  ('users', jsonb_build_object('id', media.uuid7(), 'email', 'bob@example.test', 'password_hash', '$y$', 'roles', '{user}'::text[])),
  ('sessions', jsonb_build_object('token_sha256', repeat('0a', 32), 'user_id', :'ann', 'family', media.uuid7(), 'expires_at', now())),
  ('revocations', jsonb_build_object('subject', :'unknown', 'kind', 'user', 'ended_at', now(), 'xid', '7')),
  ('uploads', jsonb_build_object('id', media.uuid7(), 'owner_id', :'ann', 'object_key', 'u', 'name', 'u', 'reserved_bytes', 0,
     'heartbeat_at', now())),
  ('upload_keys', jsonb_build_object('owner_id', :'ann', 'key', 'k', 'upload_id', media.uuid7(), 'expires_at', now())),
  ('media', jsonb_build_object('id', media.uuid7(), 'owner_id', :'ann', 'name', 'm', 'content_type', 'video/mp4', 'size_bytes', 0,
     'sha256', repeat('0a', 32), 'etag', 'e', 'object_key', 'm', 'visibility', 'public', 'pipeline', 'one', 'params', '{}'::jsonb,
     'state', 'ready', 'run', 1, 'token_epoch', 1, 'revision', 1, 'anonymized', false, 'withdrawn', false)),
  ('jobs', jsonb_build_object('id', media.uuid7(), 'media_id', :'film', 'owner_id', :'ann', 'run', 1, 'step', 's', 'ordinal', 0,
     'queue', 'long', 'depends_on', '{}'::text[], 'essential', true, 'input', 'media', 'state', 'queued', 'attempt', 0, 'max_attempts', 3, 'fence', 0,
     'priority', 0, 'params', '{}'::jsonb, 'progress', 0, 'not_before', now())),
  ('outputs', jsonb_build_object('media_id', :'film', 'name', 'o.mp3', 'job_id', :'job', 'kind', 'audio', 'content_type', 'audio/mpeg',
     'size_bytes', 0, 'sha256', repeat('0a', 32), 'etag', 'e', 'object_key', 'o')),
  ('tracks', jsonb_build_object('media_id', :'film', 'run', 1, 'name', '360p', 'job_id', :'job', 'info', '{"kind": "video"}'::jsonb, 'segments', 1)),
  ('segments', jsonb_build_object('media_id', :'film', 'run', 1, 'track', '360p', 'number', 0, 'job_id', :'job', 'object_key', 's',
     'size_bytes', 1, 'sha256', repeat('0a', 32), 'etag', 'e', 'duration', 0)),
  ('objects', jsonb_build_object('object_key', 'k', 'media_id', :'film', 'state', 'live', 'retry_at', now(), 'look_again', false, 'all_versions', false)),
  ('outbox', jsonb_build_object('id', 1000000, 'queue', 'dead', 'job_id', :'job', 'message', '{}', 'retry_at', now())),
  ('job_moves', '{"old": "succeeded", "new": "queued"}'),
  ('workers', jsonb_build_object('name', 'w', 'program', 'p', 'queue', 'short', 'started_at', now(), 'alive_until', now())),
  ('schema', '{"only_row": true, "version": 1, "oldest": 1}'),
  ('pipelines', '{"name": "p", "description": "d", "main_steps": ["s"], "anonymizes": false}'),
  ('pipeline_steps', '{"pipeline": "one", "step": "s", "queue": "notify", "depends_on": [], "params": {}, "params_schema": {},
     "max_attempts": 1, "priority": 0, "fan_out": false, "input": "media"}')) t (name, row);

CREATE FUNCTION test.put(p_table text, p_change jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('INSERT INTO media.%1$I OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_record(NULL::media.%1$I, $1)',
                 p_table)
    USING (SELECT row || p_change FROM good WHERE name = p_table);
END $$;

CREATE TABLE test.fired (name text NOT NULL);

-- The change is refused, by this constraint; the table is in its name.
CREATE FUNCTION test.refuses(p_constraint text, p_change jsonb, p_first jsonb DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_table text := (SELECT name FROM good WHERE starts_with(p_constraint, name || '_') ORDER BY length(name) DESC LIMIT 1);
  v_name text;
BEGIN
  BEGIN
    IF p_first IS NOT NULL THEN
      PERFORM put(v_table, p_first);
    END IF;
    PERFORM put(v_table, p_change);
    v_name := 'nothing';
    RAISE EXCEPTION 'undo' USING ERRCODE = 'UNDO0';
  EXCEPTION WHEN integrity_constraint_violation OR SQLSTATE 'UNDO0' THEN
    IF v_name IS NULL THEN
      GET STACKED DIAGNOSTICS v_name = CONSTRAINT_NAME;
    END IF;
  END;
  INSERT INTO fired VALUES (v_name);
  RETURN is(v_name, p_constraint, format('%s refuses %s', p_constraint, left(p_change::text, 60)));
END $$;

CREATE FUNCTION test.takes(p_table text, p_change jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_error text;
BEGIN
  BEGIN
    PERFORM put(p_table, p_change);
    RAISE EXCEPTION 'undo' USING ERRCODE = 'UNDO0';
  EXCEPTION WHEN SQLSTATE 'UNDO0' THEN NULL;
    WHEN OTHERS THEN v_error := sqlerrm;
  END;
  RETURN is(v_error, NULL, format('%s takes %s', p_table, left(p_change::text, 60)));
END $$;

CREATE FUNCTION test.field(p_name text, p_value text) RETURNS jsonb LANGUAGE sql AS 'SELECT jsonb_build_object(p_name, p_value)';

DELETE FROM media.schema;       -- its only row
SELECT takes(name) FROM good ORDER BY name;

-- users
SELECT refuses('users_email_check', field('email', e)) FROM unnest(ARRAY['@b', 'a@', 'ab', 'a @b.c', E'a@b\n', E'a\t@b',
  repeat('a', 251) || '@b.c']) e;
SELECT takes('users', field('email', e)) FROM unnest(ARRAY['a@b', repeat('a', 250) || '@b.c', 'ä@b.c']) e;
SELECT refuses('users_password_hash_check', field('password_hash', 'plain'));
SELECT refuses('users_quota_bytes_check', '{"quota_bytes": -2}'), refuses('users_quota_uploads_check', '{"quota_uploads": -2}');
SELECT takes('users', jsonb_build_object('quota_bytes', n, 'quota_uploads', n)) FROM unnest(ARRAY[-1, 0]) n;
SELECT refuses('users_email', field('email', 'ANN@example.test'));
SELECT refuses('users_pkey', field('email', 'x@y'), '{}');

-- sessions
SELECT refuses('sessions_token_sha256_check', field('token_sha256', t)) FROM unnest(ARRAY['', repeat('0A', 32), repeat('a', 63),
  repeat('a', 65), repeat('a', 64) || E'\n']) t;
SELECT refuses('sessions_user_id_fkey', field('user_id', :'unknown'));
SELECT refuses('sessions_pkey', '{}', '{}');

-- revocations
SELECT takes('revocations', field('kind', k)) FROM unnest('{session,user}'::text[]) k;
SELECT refuses('revocations_kind_check', field('kind', 'media'));
SELECT refuses('revocations_pkey', '{}', '{}');

-- pipelines
SELECT refuses('pipelines_name_check', field('name', n)) FROM unnest(ARRAY['', 'A', '1a', 'a b', 'a/b', repeat('a', 64)]) n;
SELECT takes('pipelines', field('name', n)) FROM unnest(ARRAY['a', 'a-1_b', repeat('a', 63)]) n;
SELECT refuses('pipelines_main_steps_check', '{"main_steps": []}');
SELECT refuses('pipelines_pkey', field('name', 'one'));
SELECT refuses('pipeline_steps_step_check', field('step', n)) FROM unnest(ARRAY['', 'A', '1a', 'a.b', repeat('a', 64)]) n;
SELECT refuses('pipeline_steps_queue_check', field('queue', q)) FROM unnest(ARRAY['dead', 'other', 'SHORT']) q;
SELECT refuses('pipeline_steps_input_check', field('input', i)) FROM unnest(ARRAY['masked', 'other']) i;
SELECT takes('pipeline_steps', field('input', i)) FROM unnest('{media,original,none}'::text[]) i;
SELECT refuses('pipeline_steps_params_check', '{"params": []}');
SELECT refuses('pipeline_steps_params_schema_check', '{"params_schema": "x"}');
SELECT refuses('pipeline_steps_max_attempts_check', jsonb_build_object('max_attempts', n)) FROM unnest(ARRAY[0, 101]) n;
SELECT takes('pipeline_steps', jsonb_build_object('max_attempts', n)) FROM unnest(ARRAY[1, 100]) n;
SELECT refuses('pipeline_steps_pipeline_fkey', field('pipeline', 'no-such'));
SELECT refuses('pipeline_steps_pkey', field('step', 'work'));

-- uploads
SELECT refuses('uploads_reserved_bytes_check', '{"reserved_bytes": -1}');
SELECT refuses('uploads_owner_id_fkey', field('owner_id', :'unknown'));
SELECT refuses('uploads_pkey', field('object_key', 'other'), '{}');
SELECT refuses('uploads_object_key_key', field('id', :'unknown'), '{}');
SELECT refuses('upload_keys_key_check', field('key', k)) FROM unnest(ARRAY['', repeat('k', 256), repeat('ä', 128)]) k;
SELECT takes('upload_keys', field('key', repeat('k', 255)));
SELECT refuses('upload_keys_check', field('answer', '{}'));
SELECT takes('upload_keys', jsonb_build_object('request', '{}'::jsonb, 'size_bytes', 0, 'sha256', '', 'answer', '{}'));
SELECT refuses('upload_keys_owner_id_fkey', field('owner_id', :'unknown'));
SELECT refuses('upload_keys_pkey', '{}', '{}');

-- media
SELECT refuses('media_name_check', field('name', n)) FROM unnest(ARRAY['', repeat('ä', 128)]) n;
SELECT takes('media', field('name', repeat('ä', 127) || 'a'));
SELECT refuses('media_title_check', field('title', repeat('ä', 2049)));
SELECT takes('media', field('title', repeat('ä', 2048)));
SELECT refuses('media_size_bytes_check', '{"size_bytes": -1}');
SELECT takes('media', '{"size_bytes": 9223372036854775807}');
SELECT refuses('media_sha256_check', field('sha256', repeat('xy', 32)));
SELECT refuses('media_visibility_check', field('visibility', 'secret'));
SELECT takes('media', field('visibility', v)) FROM unnest(ARRAY['private', 'unlisted', 'public']) v;
SELECT refuses('media_params_check', '{"params": null}' || field('params', 'text'));
SELECT refuses('media_state_check', field('state', 'done'));
SELECT refuses('media_check', c), takes('media', c || '{"anonymized": true}') FROM unnest(ARRAY['{"withdrawn": true}', '{"mask_params": {}}',
  '{"regions": {}}', '{"original_due_at": "2026-01-01"}', '{"original_gone_at": "2026-01-01"}']::jsonb[]) c;
SELECT refuses('media_pipeline_fkey', field('pipeline', 'no-such'));
SELECT refuses('media_owner_id_fkey', field('owner_id', :'unknown'));
SELECT refuses('media_pkey', field('object_key', 'other'), '{}');
SELECT refuses('media_object_key_key', field('id', :'unknown'), '{}');

-- jobs
SELECT refuses('jobs_queue_check', field('queue', 'dead'));
SELECT refuses('jobs_input_check', field('input', 'other'));
SELECT takes('jobs', field('input', i)) FROM unnest('{media,original,masked,none}'::text[]) i;
SELECT refuses('jobs_state_check', field('state', 'paused')) FROM set_config('session_replication_role', 'replica', false);
RESET session_replication_role;
SELECT refuses('jobs_progress_check', jsonb_build_object('progress', p)) FROM unnest(ARRAY[-0.01, 1.01, 'NaN']) p;
SELECT takes('jobs', jsonb_build_object('progress', p)) FROM unnest(ARRAY[0, 0.5, 1]) p;
SELECT refuses('jobs_check', jsonb_build_object('lease_until', now()));
SELECT refuses('jobs_check1', '{"attempt": 4}');
SELECT takes('jobs', '{"attempt": 3}');
SELECT refuses('jobs_media_id_fkey', field('media_id', :'unknown'));
SELECT refuses('jobs_pipeline_fkey', field('pipeline', 'no-such'));
SELECT refuses('jobs_pkey', field('step', 'other'), '{}');
SELECT refuses('jobs_media_id_run_step_ordinal_key', field('id', :'unknown'), '{}');
SELECT refuses('job_moves_pkey', field('old', 'canceled'));
SELECT throws_ok($$UPDATE media.jobs SET state = 'running' WHERE state = 'queued'$$, '23514', NULL, 'no running job without a lease');

-- outputs
SELECT refuses('outputs_name_check', field('name', n))
  FROM unnest(ARRAY['', 'original', '.hidden', 'a/b', 'hls/', 'hls/.hidden', 'hls/a/b', 'A', 'a b', repeat('a', 65)]) n;
SELECT takes('outputs', field('name', n)) FROM unnest(ARRAY['a', '_', 'v-1.m3u8', 'hls/v-1.m3u8', 'dash/manifest.mpd', repeat('a', 64)]) n;
SELECT refuses('outputs_kind_check', field('kind', 'exe'));
SELECT takes('outputs', field('kind', k)) FROM unnest('{audio,video,image,playlist,manifest,poster,sprite,vtt,report}'::text[]) k;
SELECT refuses('outputs_size_bytes_check', '{"size_bytes": -1}');
SELECT refuses('outputs_sha256_check', field('sha256', ''));
SELECT refuses('outputs_media_id_fkey', field('media_id', :'unknown'));
SELECT refuses('outputs_job_id_fkey', field('job_id', :'unknown'));
SELECT refuses('outputs_pkey', field('object_key', 'other'), '{}');
SELECT refuses('outputs_object_key_key', field('name', 'other'), '{}');

-- tracks, segments
SELECT refuses('tracks_name_check', field('name', n)) FROM unnest(ARRAY['', 'A', 'a/b', 'a.b', repeat('a', 64)]) n;
SELECT refuses('tracks_info_check', field('info', 'x')), refuses('tracks_info_check', '{"info": {"kind": "data"}}');
SELECT takes('tracks', jsonb_build_object('info', jsonb_build_object('kind', k))) FROM unnest('{video,audio,text}'::text[]) k;
SELECT refuses('tracks_segments_check', '{"segments": 0}');
SELECT refuses('tracks_media_id_fkey', field('media_id', :'unknown'));
SELECT refuses('tracks_job_id_fkey', field('job_id', :'unknown'));
SELECT refuses('tracks_pkey', '{"segments": 2}', '{}');
SELECT refuses('segments_number_check', '{"number": -1}');
SELECT refuses('segments_size_bytes_check', '{"size_bytes": 0}');
SELECT refuses('segments_sha256_check', field('sha256', 'x'));
SELECT refuses('segments_media_id_fkey', field('media_id', :'unknown'));
SELECT refuses('segments_job_id_fkey', field('job_id', :'unknown'));
SELECT refuses('segments_pkey', field('object_key', 'other'), '{}');
SELECT refuses('segments_object_key_key', '{"number": 1}', '{}');

-- objects, outbox, workers
SELECT refuses('objects_state_check', field('state', 'lost'));
SELECT refuses('objects_check', field('job_id', :'job'));
SELECT refuses('objects_check', '{"fence": 1}');
SELECT takes('objects', field('job_id', :'job') || '{"fence": 1}');
SELECT refuses('objects_pkey', '{}', '{}');
SELECT refuses('outbox_queue_check', field('queue', 'other'));
SELECT refuses('outbox_pkey', '{}', '{}');
SELECT refuses('workers_pkey', '{}', '{}');

-- schema: one row
SELECT refuses('schema_pkey', '{}', '{}'), refuses('schema_only_row_check', '{"only_row": false}');

-- none forgotten
SELECT set_eq('SELECT name FROM test.fired',
  $$SELECT conname::text FROM pg_constraint WHERE connamespace = 'media'::regnamespace
    UNION SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
           WHERE c.relnamespace = 'media'::regnamespace AND i.indisunique$$, 'every constraint has fired above');

-- all columns are NOT NULL but these
SELECT set_eq($$SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                 WHERE c.relnamespace = 'media'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attnotnull$$,
  ARRAY['users.quota_bytes', 'users.quota_uploads', 'users.disabled_at', 'sessions.replaced_by', 'uploads.name', 'uploads.idempotency_key',
        'uploads.request_id', 'upload_keys.request', 'upload_keys.size_bytes', 'upload_keys.sha256', 'upload_keys.answer', 'media.title',
        'media.error_code', 'media.error_detail', 'media.probe', 'media.mask_params', 'media.regions', 'media.original_due_at',
        'media.original_gone_at',
        'media.request_id', 'media.traceparent', 'media.finished_at', 'jobs.pipeline', 'jobs.range', 'jobs.result', 'jobs.lease_until',
        'jobs.worker', 'jobs.eta_seconds', 'jobs.error_code', 'jobs.error_detail', 'jobs.announced_at', 'jobs.started_at',
        'jobs.finished_at', 'outputs.width', 'outputs.height', 'outputs.duration', 'outputs.bitrate', 'objects.job_id',
        'objects.fence', 'objects.s3_upload_id', 'objects.strays_at', 'segments.iframe'], 'what may be null');

-- what a deletion takes along
SELECT throws_ok(format('DELETE FROM media.users WHERE id = %L', :'ann'), '23503', NULL, 'an owner of media stays');
SELECT throws_ok($$DELETE FROM media.pipelines WHERE name = 'one'$$, '23503', NULL, 'a pipeline in use stays');
SELECT lives_ok($$UPDATE media.pipelines SET name = 'uno' WHERE name = 'one'$$, 'a pipeline is renamed');
SELECT is((SELECT pipeline FROM media.media WHERE id = :'film'), 'uno', 'its media follow');
SELECT is((SELECT pipeline FROM media.pipeline_steps WHERE step = 'work'), 'uno', 'and its steps');
SELECT is((SELECT pipeline FROM media.jobs WHERE id = :'job'), 'uno', 'and its jobs');
SELECT put('outputs', '{}'), put('sessions', '{}') \gset _
SELECT lives_ok(format('DELETE FROM media.media WHERE id = %L', :'film'), 'media go');
SELECT is((SELECT count(*)::int FROM media.jobs), 0, 'with their jobs');
SELECT is((SELECT count(*)::int FROM media.outputs), 0, 'and outputs');
SELECT lives_ok(format('DELETE FROM media.users WHERE id = %L', :'ann'), 'a user without media goes');
SELECT is((SELECT count(*)::int FROM media.sessions), 0, 'with the sessions');

-- every foreign key has an index that begins with its columns
SELECT is_empty($$SELECT conrelid::regclass || '.' || conname FROM pg_constraint c
   WHERE contype = 'f' AND connamespace = 'media'::regnamespace AND NOT EXISTS (
     SELECT FROM pg_index i WHERE i.indrelid = c.conrelid AND i.indpred IS NULL
        AND (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)$$, 'every foreign key has an index');
SELECT is((SELECT count(*)::int FROM pg_constraint WHERE contype = 'f' AND connamespace = 'media'::regnamespace), 14,
  'as many foreign keys as thought');
SELECT * FROM finish();
