-- The janitor's functions: what they take, that they take it once, and that two may work at once.
SELECT no_plan();
SELECT sessions(3) \gset _
SELECT person('ann') AS ann \gset

-- leases: two janitors, three lost jobs
SELECT media(:'ann') AS f1, media(:'ann') AS f2, media(:'ann') AS f3, media(:'ann') AS alive \gset
SELECT count(claim('work')) FROM generate_series(1, 4) \gset _
SELECT expire(job_id(f, 'work')) FROM unnest(ARRAY[:'f1', :'f2', :'f3']::uuid[]) f \g /dev/null
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', 'SELECT media.janitor_leases()::text'), '3', 'leases: the first takes all three');
SELECT start('s2', 'SELECT media.janitor_leases()::text') \gset _
SELECT ok(is_blocked('s2'), 'leases: the second waits');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(answer('s2'), '0', 'leases: and finds nothing left to do');
SELECT results_eq('SELECT state, attempt, count(*) FROM media.jobs GROUP BY 1, 2 ORDER BY 1',
  $$VALUES ('queued', 1, 3::bigint), ('running', 1, 1::bigint)$$, 'leases: each lost one attempt; who lives goes on');

-- leases: a heart-beat that comes in time saves the job
SELECT claim_job(job_id(:'f1', 'work')) AS fence, expire(job_id(:'f1', 'work')) \gset
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', format('SELECT code FROM media.job_heartbeat(%L, %s, 60, NULL, NULL)', job_id(:'f1', 'work'), :'fence')), 'ok',
  'leases: a late heart-beat');
SELECT start('s2', 'SELECT media.janitor_leases()::text') \gset _
SELECT ok(is_blocked('s2'), 'leases: the janitor waits for it');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(answer('s2'), '0', 'leases: and leaves the job');
SELECT is((job(:'f1', 'work')).state, 'running', 'leases: which runs');
DELETE FROM media.jobs;

-- leases: two janitors that see different jobs never wait for each other in a ring. s1 wants the job of
-- both media, but one gets a heart-beat while s1 waits; s2 comes later and sees another of that media.
SELECT media(:'ann', 'none') AS m1, media(:'ann', 'none') AS m2 \gset
DELETE FROM media.jobs;
INSERT INTO media.jobs (id, media_id, owner_id, step, queue, state)
  SELECT overlay(media.uuid7()::text PLACING n FROM 1)::uuid, m, :'ann', n, 'short', 'queued'
    FROM (VALUES ('1000', :'m1'::uuid), ('2000', :'m2'), ('3000', :'m1')) v (n, m);
UPDATE media.jobs SET state = 'running', lease_until = now() - interval '1s', attempt = 1, fence = 1;
UPDATE media.jobs SET lease_until = now() + interval '1h' WHERE step = '3000';
SELECT tell('s3', 'BEGIN'), ask('s3', format('SELECT id::text FROM media.media WHERE id = %L FOR UPDATE', :'m1')) \gset _
SELECT start('s1', 'SELECT media.janitor_leases()::text') \gset _
SELECT ok(is_blocked('s1'), 'ring: the first waits for the media of its first job');
SELECT code FROM media.job_heartbeat(job_id(:'m1', '1000'), 1, 3600, NULL, NULL) \gset _
SELECT expire(job_id(:'m1', '3000')) \gset _
SELECT start('s2', 'SELECT media.janitor_leases()::text') \gset _
SELECT ok(is_blocked('s2'), 'ring: the second waits for the same');
SELECT tell('s3', 'COMMIT') \gset _
SELECT lives_ok($$SELECT test.answer('s1')$$, 'ring: the first gets through');
SELECT lives_ok($$SELECT test.answer('s2')$$, 'ring: the second gets through');
SELECT results_eq('SELECT step, state FROM media.jobs ORDER BY step', $$VALUES ('1000', 'running'), ('2000', 'queued'), ('3000', 'queued')$$,
  'ring: both lost jobs were seen to');
DELETE FROM media.jobs;

-- announcements: a message that seems lost
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job \gset
SELECT is(media.janitor_announce(0), 0::bigint, 'announce: not while its message is in the outbox');
DELETE FROM media.outbox;
SELECT is(media.janitor_announce(300), 0::bigint, 'announce: not while its message may be on its way');
UPDATE media.jobs SET announced_at = now() - interval '301s', not_before = now() - interval '301s';
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', 'SELECT media.janitor_announce(300)::text'), '1', 'announce: but when nobody came for it');
SELECT is(ask('s2', 'SELECT media.janitor_announce(300)::text'), '0', 'announce: a second janitor passes by');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(ask('s2', 'SELECT media.janitor_announce(300)::text'), '0', 'announce: now, too');
SELECT results_eq('SELECT queue, job_id, message FROM media.outbox',
  format($$SELECT 'short', %1$L::uuid, media.job_message(%1$L, 'req-1', '00-trace')$$, :'job'),
  'announce: one message, as the first');
DELETE FROM media.outbox;
UPDATE media.jobs SET announced_at = NULL, not_before = now() + interval '1s';
SELECT is(media.janitor_announce(300), 0::bigint, 'announce: not before its time');
UPDATE media.jobs SET announced_at = now() - interval '2s', not_before = now() - interval '1s';
SELECT is(media.janitor_announce(300), 1::bigint, 'announce: an announcement before its time does not count');
UPDATE media.jobs SET announced_at = now() - interval '1h', not_before = now() - interval '1h';
DELETE FROM media.outbox;
SELECT claim('work') \gset _
SELECT is(media.janitor_announce(300), 0::bigint, 'announce: no running job');
DELETE FROM media.jobs;

-- outbox
DELETE FROM media.outbox;
INSERT INTO media.outbox (queue, job_id, message, created_at)
  SELECT 'short', :'job', 'm' || n, now() - make_interval(secs => 10 + n) FROM generate_series(1, 5) n;
INSERT INTO media.outbox (queue, job_id, message) VALUES ('short', :'job', 'new');
CREATE FUNCTION test.take(p_limit int) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(message, ' ' ORDER BY message), '-') FROM media.janitor_outbox(5, p_limit)
$$;
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', 'SELECT test.take(2)'), 'm4 m5', 'outbox: the oldest two');
SELECT is(ask('s2', 'SELECT test.take(2)'), 'm2 m3', 'outbox: a second janitor gets the next');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(take(10), 'm1', 'outbox: what is left');
SELECT is(take(10), '-', 'outbox: nothing new, nothing in other hands');
UPDATE media.outbox SET retry_at = now() - interval '1ms' WHERE message = 'm3';
SELECT is(take(10), 'm3', 'outbox: what nobody confirmed comes back');
SELECT ok((SELECT retry_at > now() + interval '25s' FROM media.outbox WHERE message = 'm3'), 'outbox: for a while');
SELECT media.outbox_sent(ARRAY(SELECT id FROM media.outbox WHERE message <> 'new')) \gset _
SELECT is((SELECT string_agg(message, ' ') FROM media.outbox), 'new', 'outbox: what was confirmed is gone');
-- the limit holds, also where the planner would run the inner query again and again
INSERT INTO media.outbox (queue, job_id, message, created_at) SELECT 'short', :'job', 'n' || n, now() - interval '1h' FROM generate_series(1, 50) n;
SET enable_hashagg = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_sort = off;
SELECT is((SELECT count(*)::int FROM media.janitor_outbox(5, 7)), 7, 'outbox: the limit holds');
RESET ALL; SET search_path = tap, test;
DELETE FROM media.outbox WHERE message <> 'new';
INSERT INTO media.outbox (queue, job_id, message, created_at) SELECT 'short', :'job', 'n' || n, now() - interval '1h' FROM generate_series(1, 300) n;
CREATE TABLE test.sent (id bigint, session int);
SELECT is(race(3, 'WITH taken AS (INSERT INTO test.sent SELECT id, %s FROM media.janitor_outbox(5, 100) RETURNING 1)
    SELECT count(*)::text FROM taken'),
  '{100,100,100}'::text[], 'outbox: three at once share 300');
SELECT is((SELECT count(DISTINCT id)::int FROM sent), (SELECT count(*)::int FROM sent), 'outbox: no row twice');

-- doomed objects
DELETE FROM media.objects;
INSERT INTO media.objects (object_key, media_id, state, s3_upload_id, retry_at)
  SELECT 'd' || n, :'film', 'doomed', CASE WHEN n = 1 THEN 's3' END, now() - make_interval(secs => 10 - n) FROM generate_series(1, 5) n;
INSERT INTO media.objects (object_key, media_id, state, retry_at) VALUES ('later', :'film', 'doomed', now() + interval '1s'),
  ('live', :'film', 'live', now() - interval '1h'), ('open', :'film', 'pending', now() - interval '1h');
CREATE FUNCTION test.doomed(p_limit int) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(concat_ws(':', object_key, s3_upload_id), ' ' ORDER BY object_key), '-') FROM media.janitor_doomed(p_limit)
$$;
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', 'SELECT test.doomed(2)'), 'd1:s3 d2', 'doomed: two, with their S3 uploads');
SELECT is(ask('s2', 'SELECT test.doomed(2)'), 'd3 d4', 'doomed: a second janitor gets others');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(doomed(10), 'd5', 'doomed: what is left; nothing live, nothing open, nothing early');
SELECT is(doomed(10), '-', 'doomed: nothing in other hands');
UPDATE media.objects SET retry_at = now() WHERE object_key = 'd2';
SELECT is(doomed(10), 'd2', 'doomed: what was not deleted comes back');
SELECT ok((SELECT retry_at BETWEEN now() + interval '50s' AND now() + interval '60s' FROM media.objects WHERE object_key = 'd2'),
  'doomed: after a minute');
SELECT media.janitor_object_gone('d2'), media.janitor_object_gone('live'),
  media.janitor_object_gone('open'), media.janitor_object_gone('no-such') \gset _
SELECT is((SELECT string_agg(object_key, ' ' ORDER BY object_key) FROM media.objects), 'd1 d3 d4 d5 later live open',
  'object gone: only a doomed one');
SET enable_hashagg = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_material = off; SET enable_sort = off;
UPDATE media.objects SET retry_at = now() WHERE state = 'doomed';
SELECT is((SELECT count(*)::int FROM media.janitor_doomed(2)), 2, 'doomed: the limit holds');
RESET ALL; SET search_path = tap, test;
-- unknown uploads beside live objects
DELETE FROM media.objects;
INSERT INTO media.objects (object_key, media_id, state, strays_at)
  SELECT 's' || n, :'film', 'live', now() - make_interval(secs => 10 - n) FROM generate_series(1, 3) n;
INSERT INTO media.objects (object_key, media_id, state, strays_at) VALUES ('later', :'film', 'live', now() + interval '1s'),
  ('none', :'film', 'live', NULL), ('open', :'film', 'pending', now()), ('doomed', :'film', 'doomed', now());
CREATE FUNCTION test.strays(p_limit int) RETURNS text LANGUAGE sql AS $$
  SELECT coalesce(string_agg(object_key, ' ' ORDER BY object_key), '-') FROM media.janitor_strays(p_limit)
$$;
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', 'SELECT test.strays(2)'), 's1 s2', 'strays: two');
SELECT is(ask('s2', 'SELECT test.strays(2)'), 's3', 'strays: a second janitor gets the other; what is not live waits');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(strays(10), '-', 'strays: nothing in other hands');
SELECT media.janitor_strays_gone('s1') \gset _
UPDATE media.objects SET strays_at = now() - interval '1s' WHERE strays_at IS NOT NULL AND object_key LIKE 's_';
SELECT is(strays(10), 's2 s3', 'strays: what was not done comes back');

-- an object whose job is gone altogether
DELETE FROM media.objects;
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job, claim_job(job_id(:'film', 'work')) AS fence \gset
SELECT media.job_object(:'job', 1, 'kept') \gset _
INSERT INTO media.objects (object_key, media_id, job_id, fence) VALUES ('orphan', media.uuid7(), media.uuid7(), 1);
SELECT is(doomed(10), '-', 'doomed: not at once');
SELECT is(object_state('orphan'), 'doomed', 'doomed: what a job that is gone had registered');
SELECT is(object_state('kept'), 'pending', 'doomed: not what a running job writes');
UPDATE media.objects SET retry_at = now();
SELECT is(doomed(10), 'orphan', 'doomed: later');

-- sessions
INSERT INTO media.sessions (token_sha256, user_id, family, expires_at)
  SELECT lpad((n + 1)::text, 64, '0'), :'ann', media.uuid7(), now() + make_interval(secs => n * 60) FROM unnest(ARRAY[-1, 1, 2]) n;
SELECT is(media.janitor_sessions(), 1::bigint, 'sessions: what has expired');
SELECT is((SELECT count(*)::int FROM media.sessions), 2, 'sessions: no other');
-- queue_load: what could be claimed, and what is being worked at
DELETE FROM media.media;
SELECT results_eq('SELECT queue, queued, running, oldest_seconds FROM media.queue_load()',
  $$SELECT q, 0::bigint, 0::bigint, 0::double precision FROM unnest('{short,long,mask,mask_long,notify}'::text[]) q$$, 'queue_load: nothing to do');
SELECT is((SELECT array_agg(queue ORDER BY queue) FROM media.queue_load()), (SELECT array_agg(m[1] ORDER BY m[1]) FROM pg_constraint,
    regexp_matches(pg_get_constraintdef(oid), '''(\w+)''::text', 'g') m WHERE conname = 'jobs_queue_check'), 'queue_load: every queue');
SELECT person('loader') AS loader \gset
SELECT media(:'loader'), media(:'loader'), media(:'loader') \gset _
SELECT media(:'loader') AS later \gset
UPDATE media.jobs SET not_before = now() + interval '1h' WHERE media_id = :'later';
UPDATE media.jobs SET not_before = now() - interval '90s' WHERE id = (SELECT id FROM media.jobs WHERE not_before <= now() LIMIT 1);
SELECT is((SELECT row(queued, running, round(oldest_seconds / 10)::int)::text FROM media.queue_load() WHERE queue = 'short'), '(3,0,9)',
  'queue_load: due ones, since when the first is; none that has to wait');
SELECT claim('work') \gset _
SELECT is((SELECT row(queued, running)::text FROM media.queue_load() WHERE queue = 'short'), '(2,1)', 'queue_load: a claimed one is running');
SELECT is((SELECT string_agg(row(queued, running)::text, ' ') FROM media.queue_load() WHERE queue <> 'short'), '(0,0) (0,0) (0,0) (0,0)',
  'queue_load: other queues');
SELECT session('media_scaler', 'media_scaler') \gset _
SELECT is(ask('media_scaler', 'SELECT queued::text FROM media.queue_load() WHERE queue = ''short'''), '2', 'queue_load: told to whoever scales');
SELECT * FROM finish();
