-- Every query of every function has an index: with sequential scans off, the plans that PostgreSQL
-- really made (auto_explain, also of what runs inside functions) hold none.
SELECT no_plan();
-- enough rows of every table that no plan likes to read it all
INSERT INTO media.users (email, password_hash) SELECT 'p' || n || '@example.test', '$y$' FROM generate_series(1, 500) n;
INSERT INTO media.sessions (token_sha256, user_id, family, expires_at)
  SELECT encode(sha256(id::text::bytea), 'hex'), id, id, now() + interval '1h' FROM media.users;
INSERT INTO media.revocations (subject, kind, ended_at, xid) SELECT id, 'session', now() - interval '1s' * n, n::text::xid8
  FROM (SELECT media.uuid7() AS id, n FROM generate_series(1, 700) n) x;
INSERT INTO media.upload_keys (owner_id, key, upload_id, expires_at) SELECT id, 'k' || n, media.uuid7(), now() + n * interval '1min'
  FROM media.users, generate_series(0, 3) n;
INSERT INTO media.uploads (id, owner_id, object_key, name) SELECT media.uuid7(), id, 'up/' || id, 'n' FROM media.users, generate_series(1, 1);
INSERT INTO media.media (id, owner_id, name, content_type, size_bytes, sha256, etag, object_key, pipeline)
  SELECT media.uuid7(), id, 'n' || n, 't', 1, repeat('a', 64), 'e', 'key/' || id || n, 'one' FROM media.users, generate_series(1, 4) n;
INSERT INTO media.jobs (media_id, owner_id, pipeline, step, queue, state)
  SELECT id, owner_id, 'one', 'work', 'short', 'queued' FROM media.media;
UPDATE media.jobs SET state = 'running', lease_until = now() + interval '1h', started_at = now(), attempt = 1 WHERE random() < 0.9;
UPDATE media.jobs SET state = 'succeeded', lease_until = NULL WHERE state = 'running' AND random() < 0.9;
INSERT INTO media.objects (object_key, media_id, state) SELECT object_key, id, 'live' FROM media.media;
INSERT INTO media.objects (object_key, media_id, job_id, fence, state)
  SELECT 'out/' || id, media_id, id, 1, CASE state WHEN 'running' THEN 'pending' ELSE 'live' END
  FROM media.jobs WHERE state IN ('running', 'succeeded');
INSERT INTO media.outputs (media_id, name, job_id, kind, content_type, size_bytes, sha256, etag, object_key)
  SELECT media_id, 'main.mp3', id, 'audio', 't', 1, repeat('a', 64), 'e', 'out/' || id FROM media.jobs WHERE state = 'succeeded';
INSERT INTO media.outbox (queue, job_id, message) SELECT 'short', id, '{}' FROM media.jobs;
UPDATE media.uploads SET heartbeat_at = now() - interval '1h' WHERE id = (SELECT min(id::text)::uuid FROM media.uploads);
VACUUM ANALYZE;
\setenv CALLS `printf '%s' "$TEST_LIB/calls.sql"`
\set log `psql -X -q -d plans -U postgres -v ON_ERROR_STOP=1 -f "$CALLS" 2>&1; printf 'exit code %d' $?`
SELECT ok(:'log' LIKE '%exit code 0', 'the calls went well');
SELECT diag(x) FROM regexp_split_to_table(:'log', '\n') x WHERE x LIKE '%ERROR%';

-- one row for each plan, one for each scan in it
CREATE TABLE test.plans AS
  SELECT n, (regexp_match(x, '^\s*(\{.*\n\})'))[1]::jsonb AS plan
    FROM regexp_split_to_table(:'log', 'LOG:  duration: [\d.]+ ms  plan:') WITH ORDINALITY s (x, n) WHERE n > 1;
CREATE TABLE test.scans AS
  SELECT n, plan ->> 'Query Text' AS query, node ->> 'Node Type' AS type, node ->> 'Relation Name' AS relation,
         node ->> 'Index Name' AS index, node ->> 'Index Cond' AS cond
    FROM test.plans, jsonb_path_query(plan, 'strict $.**') node
   WHERE jsonb_typeof(node) = 'object' AND node ->> 'Node Type' LIKE '%Scan%';
SELECT ok((SELECT count(*) > 200 FROM plans WHERE plan IS NOT NULL), 'there are many plans');
SELECT is((SELECT count(*)::int FROM plans WHERE plan IS NULL), 0, 'all were read');
SELECT is_empty($$SELECT relation, query FROM test.scans WHERE type = 'Seq Scan' AND relation IS NOT NULL$$, 'no plan reads a whole table');

-- nor all of an index, but where that is meant
CREATE FUNCTION test.squeeze(p_query text) RETURNS text LANGUAGE sql AS $$ SELECT trim(regexp_replace(p_query, '\s+', ' ', 'g')) $$;
SELECT is_empty($$SELECT relation, index, test.squeeze(query) FROM test.scans
   WHERE index IS NOT NULL AND cond IS NULL AND NOT (
        (index = 'objects_unowned' AND query LIKE '%object_grace%')      -- every pending object
     OR (index = 'outbox_job' AND query LIKE '%announced_at%')           -- jobs without a row there
     OR test.squeeze(query) LIKE 'SELECT u.id, u.email, array_to_string%'         -- ctl_user_list: all users
     OR test.squeeze(query) LIKE 'SELECT j.id, j.media_id, j.step%ORDER BY j.id DESC LIMIT p_limit')  -- ctl_job_list: the newest
  $$, 'nor a whole index');

-- the hot path
SELECT ok(EXISTS (SELECT FROM scans WHERE index ~ ('^' || i || '$') AND query LIKE q), w || ': ' || i) FROM (VALUES
  ('jobs_due', '%WITH RECURSIVE owners%', 'job_pick'),
  ('jobs_due', '%LIMIT 1 FOR UPDATE SKIP LOCKED', 'job_pick'),
  ('jobs_running_owner', '%WITH RECURSIVE owners%', 'job_pick'),
  ('jobs_served', '%WITH RECURSIVE owners%', 'job_pick'),
  ('jobs_(pkey|state)', 'UPDATE jobs SET lease_until%', 'job_heartbeat'),
  ('uploads_pkey', '%UPDATE uploads u SET heartbeat_at%', 'upload_heartbeat'),
  ('media_owner', 'v_items := array(%m.id < v_after%', 'media_list'),
  ('media_owner', 'v_items := array(%m.id > v_after%', 'media_list'),
  ('outputs_pkey', 'SELECT *% FROM outputs o WHERE o.media_id = p_media.id AND o.name = p_output', 'object_of'),
  ('outbox_due', '%UPDATE outbox o SET retry_at%', 'janitor_outbox'),
  ('outbox_pkey', '%UPDATE outbox o SET retry_at%', 'janitor_outbox'),
  ('outbox_pkey', '%DELETE FROM outbox%', 'outbox_sent'),
  ('objects_unowned', 'UPDATE objects o SET retry_at%', 'janitor_doomed'),
  ('objects_strays', '%UPDATE objects o SET strays_at%', 'janitor_strays'),
  ('jobs_lease', 'SELECT id FROM jobs WHERE state = ''running'' AND lease_until < now()%', 'janitor_leases'),
  ('jobs_announce', '%announced_at IS NULL%', 'janitor_announce'),
  ('jobs_announce', '%min(j.not_before)%', 'queue_load'),
  ('jobs_lease', '%min(j.not_before)%', 'queue_load'),
  ('uploads_heartbeat', 'DELETE FROM uploads u%', 'janitor_uploads'),
  ('upload_keys_expiry', 'DELETE FROM upload_keys%', 'janitor_uploads'),
  ('upload_keys_pkey', 'SELECT *%FROM upload_keys%', 'upload_open'),
  ('media_name', '%m.name = p_name%', 'upload_open'),
  ('media_owner', '%sum(size_bytes)%', 'quota_used'),
  ('users_email', '%u.password_hash%', 'login_lookup'),
  ('revocations_xid', '%x.xid >= v_since%', 'revocations_since'),
  ('revocations_pkey', '%uuid7_time(p_sid)%', 'play_object')) t (i, q, w);

-- no index is there for nothing
SELECT set_eq($$SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
   WHERE c.relnamespace = 'media'::regnamespace AND NOT i.indisunique AND NOT EXISTS (SELECT FROM test.scans WHERE index = c.relname)$$,
  ARRAY['media_pipeline', 'jobs_pipeline'], 'every index is used; two serve a foreign key alone');
SELECT * FROM finish();
