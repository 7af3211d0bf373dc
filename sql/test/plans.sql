-- Every query of every function has an index: with sequential scans off, the plans that PostgreSQL
-- really made (auto_explain, also of what runs inside functions) hold none.
SELECT no_plan();
-- enough rows of every table that no plan likes to read it all
INSERT INTO media.users (email, password_hash) SELECT 'p' || n || '@example.test', '$y$' FROM generate_series(1, 500) n;
INSERT INTO media.sessions (token_sha256, user_id, family, expires_at) SELECT encode(sha256(id::text::bytea), 'hex'), id, id, now() + interval '1h' FROM media.users;
INSERT INTO media.uploads (id, owner_id, object_key, name) SELECT media.uuid7(), id, 'up/' || id, 'n' FROM media.users, generate_series(1, 1);
INSERT INTO media.media (id, owner_id, name, content_type, size_bytes, sha256, etag, object_key, pipeline)
  SELECT media.uuid7(), id, 'n' || n, 't', 1, repeat('a', 64), 'e', 'key/' || id || n, 'one' FROM media.users, generate_series(1, 4) n;
INSERT INTO media.jobs (media_id, owner_id, step, queue, state) SELECT id, owner_id, 'work', 'short', 'queued' FROM media.media;
UPDATE media.jobs SET state = 'running', lease_until = now() + interval '1h', started_at = now(), attempt = 1 WHERE random() < 0.9;
UPDATE media.jobs SET state = 'succeeded', lease_until = NULL WHERE state = 'running' AND random() < 0.9;
INSERT INTO media.objects (object_key, media_id, state) SELECT object_key, id, 'live' FROM media.media;
INSERT INTO media.objects (object_key, media_id, job_id, fence, state) SELECT 'out/' || id, media_id, id, 1, CASE state WHEN 'running' THEN 'pending' ELSE 'live' END
  FROM media.jobs WHERE state IN ('running', 'succeeded');
INSERT INTO media.outputs (media_id, name, job_id, kind, content_type, size_bytes, sha256, etag, object_key)
  SELECT media_id, 'main.mp3', id, 'audio', 't', 1, repeat('a', 64), 'e', 'out/' || id FROM media.jobs WHERE state = 'succeeded';
INSERT INTO media.outbox (queue, job_id, message) SELECT 'short', id, '{}' FROM media.jobs;
ANALYZE;
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
\o /tmp/sqlt-scans.txt
SELECT DISTINCT relation, index, type, cond, regexp_replace(left(query,150),'\s+',' ','g') FROM scans WHERE (relation is not null or index is not null) AND (type LIKE 'Seq%' OR cond IS NULL) ORDER BY 1, 2;
SELECT index,count(*) from scans group by 1;
\o
SELECT * FROM finish();
