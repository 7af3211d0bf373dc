-- One job and its attempts: leases, fences, back-off, finish, fail, release, objects.
SELECT no_plan();
SELECT person('ann') AS ann, media.uuid7() AS unknown \gset

-- heart-beat of a running job
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job \gset
SELECT is(claim('work'), :'job', 'claimed');
SELECT is((SELECT code FROM media.job_heartbeat(:'job', 1, 600, 0.25, 12.5)), 'ok', 'heartbeat');
SELECT results_eq(format('SELECT progress, eta_seconds, lease_until > now() + interval ''599s'' FROM media.jobs WHERE id = %L', :'job'),
  'VALUES (0.25::float8, 12.5::float8, true)', 'heartbeat: progress, eta, a longer lease');
SELECT is((SELECT code FROM media.job_heartbeat(:'job', 1, 60, NULL, NULL)), 'ok', 'heartbeat: nothing known');
SELECT results_eq(format('SELECT progress, eta_seconds FROM media.jobs WHERE id = %L', :'job'), 'VALUES (0.25::float8, NULL::float8)',
  'heartbeat: the progress stays');
SELECT is((SELECT code FROM media.job_heartbeat(:'job', 1, 60, p, NULL)), 'ok', 'heartbeat: progress ' || p)
  FROM unnest(ARRAY[-1, 7, 'NaN']::float8[]) p;
SELECT is((SELECT progress FROM media.jobs WHERE id = :'job'), 1::float8, 'heartbeat: is kept within 0..1');
BEGIN;
SELECT is((SELECT code FROM media.job_heartbeat(:'job', 1, 60, 0.5, NULL)), 'ok', 'heartbeat');
SELECT is(current_setting('synchronous_commit'), 'off', 'heartbeat: need not wait for the disk');
COMMIT;
SELECT is((SELECT code FROM media.job_heartbeat(:'unknown', 1, 60, 0.5, NULL)), 'lost', 'heartbeat: no such job');
SELECT is(media.janitor_leases(), 0::bigint, 'a lease that runs is left alone');

-- objects of an attempt
SELECT is((SELECT code FROM media.job_object(:'job', 1, 'k1')), 'ok', 'object: registered');
SELECT results_eq($$SELECT media_id, job_id, fence, s3_upload_id, state FROM media.objects WHERE object_key = 'k1'$$,
  format($$VALUES (%L::uuid, %L::uuid, 1::bigint, NULL::text, 'pending')$$, :'film', :'job'), 'object: pending');
SELECT is((SELECT code FROM media.job_object(:'job', 1, 'k1')), 'ok', 'object: again');
SELECT is((SELECT code FROM media.job_object_s3id('k1', 's3')), 'ok', 'object: its S3 upload');
SELECT is((SELECT s3_upload_id FROM media.objects WHERE object_key = 'k1'), 's3', 'object: is in the row');
SELECT everything() AS before \gset
SELECT is((SELECT code FROM media.job_object(:'job', f, 'k2')), 'lost', 'object: not under fence ' || f) FROM unnest(ARRAY[0, 2]) f;
SELECT is((SELECT code FROM media.job_object(:'unknown', 1, 'k2')), 'lost', 'object: not for an unknown job');
SELECT is((SELECT code FROM media.job_object(:'job', 1, 'original/' || :'film')), 'lost', 'object: not a key of somebody else');
SELECT is((SELECT code FROM media.job_object_s3id('original/' || :'film', 'x')), 'lost', 'object: no S3 upload of a live object');
SELECT is((SELECT code FROM media.job_object_s3id('no-such', 'x')), 'lost', 'object: no S3 upload of an unknown one');
SELECT throws_like(format('SELECT * FROM media.job_finish(%L, 1, %L)', :'job', jsonb_build_object('outputs', jsonb_build_array(output(k)))),
  '%never registered object%', 'finish: not with the key ' || k) FROM unnest(ARRAY['k2', 'original/' || :'film']) k;
SELECT throws_ok(format('SELECT * FROM media.job_finish(%L, 1, %L)', :'job', jsonb_build_object('outputs', jsonb_build_array(output('k1', 'A/B')))),
  '23514', NULL, 'finish: not with a bad name');
SELECT is(everything(), :'before'::text, 'what is refused changes nothing');
INSERT INTO media.objects (object_key, media_id, job_id, fence) VALUES ('k0', :'film', :'job', 0);
SELECT throws_like(format('SELECT * FROM media.job_finish(%L, 1, %L)', :'job', jsonb_build_object('outputs', jsonb_build_array(output('k0')))),
  '%never registered object%', 'finish: not with a key of an earlier attempt');

-- the lease runs out: three attempts, then failed
CREATE TABLE test.wait (attempt int, seconds float8);
CREATE FUNCTION test.lose() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_job media.jobs;
BEGIN
  SELECT * INTO v_job FROM media.jobs WHERE state = 'running';
  PERFORM test.expire(v_job.id);
  IF media.janitor_leases() <> 1 THEN
    RAISE 'not lost';
  END IF;
  INSERT INTO test.wait SELECT attempt, extract(epoch FROM not_before - now()) FROM media.jobs WHERE id = v_job.id;
  RETURN v_job.fence;
END $$;
CREATE FUNCTION test.retry_now(p_id uuid) RETURNS bigint LANGUAGE sql AS 'SELECT test.claim_job(p_id)';
DELETE FROM media.outbox;
SELECT is(lose(), 1::bigint, 'lost: the lease of fence 1');
SELECT results_eq(format('SELECT state, attempt, fence, error_code, error_detail, announced_at FROM media.jobs WHERE id = %L', :'job'),
  $$VALUES ('queued', 1, 1::bigint, 'worker_lost', 'the worker w1 stopped without a word (attempt 1 of 3)', NULL::timestamptz)$$,
    'lost: queued again');
SELECT is(object_state('k1'), 'doomed', 'lost: its object goes');
SELECT ok((SELECT retry_at BETWEEN now() + interval '50s' AND now() + interval '70s' FROM media.objects WHERE object_key = 'k1'),
  'lost: not before a worker that still lives has noticed');
SELECT is(claim('work'), NULL, 'lost: not at once');
SELECT is(media.janitor_announce(300), 0::bigint, 'lost: nor announced at once');
SELECT is((SELECT count(*)::int FROM media.outbox), 0, 'lost: no message');
UPDATE media.jobs SET not_before = now() WHERE id = :'job';
SELECT is(media.janitor_announce(300), 1::bigint, 'lost: but when its time has come');
SELECT is(media.janitor_announce(300), 0::bigint, 'lost: once');
SELECT is((SELECT string_agg(queue, ' ') FROM media.outbox), 'short', 'lost: one message');
SELECT is(retry_now(:'job'), 2::bigint, 'lost: the next attempt has fence 2');
SELECT is((SELECT error_code FROM media.jobs WHERE id = :'job'), NULL, 'lost: and begins without error');

-- what the zombie of fence 1 may still say
SELECT media.job_object(:'job', 2, 'k3'), everything() AS before \gset _
SELECT is((SELECT code FROM media.job_heartbeat(:'job', 1, 60, 0.9, 1)), 'lost', 'zombie: heartbeat');
SELECT is((SELECT code FROM media.job_object(:'job', 1, 'k4')), 'lost', 'zombie: object');
SELECT is((SELECT code FROM media.job_object(:'job', 1, 'k1')), 'lost', 'zombie: its own old object');
SELECT is((SELECT code FROM media.job_object(:'job', 1, 'k3')), 'lost', 'zombie: the object of the other');
SELECT is((SELECT code FROM media.job_object_s3id('k1', 'x')), 'lost', 'zombie: S3 upload');
SELECT is(code || outbox, 'lost[]', 'zombie: finish')
  FROM media.job_finish(:'job', 1, jsonb_build_object('outputs', jsonb_build_array(output('k3'))));
SELECT is(code || outbox, 'lost[]', 'zombie: fail') FROM media.job_fail(:'job', 1, false, 'x', 'x');
SELECT is(code || outbox, 'lost[]', 'zombie: release') FROM media.job_release(:'job', 1);
SELECT is(everything(), :'_before'::text, 'zombie: nothing has changed');

SELECT is(lose(), 2::bigint, 'lost: fence 2');
SELECT is(retry_now(:'job'), 3::bigint, 'lost: the last attempt');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'processing', 'lost: the media is still processing');
DELETE FROM media.outbox;
SELECT is(lose(), 3::bigint, 'lost: fence 3');
SELECT results_eq(format('SELECT state, attempt, error_code, finished_at IS NOT NULL FROM media.jobs WHERE id = %L', :'job'),
  $$VALUES ('failed', 3, 'worker_lost', true)$$, 'lost: failed for good');
SELECT ok((SELECT bool_and(seconds BETWEEN 2 ^ attempt * 0.87 AND 2 ^ attempt * 1.13) FROM wait WHERE attempt < 3),
  'back-off of 2 and 4 seconds, spread');
SELECT results_eq(format('SELECT state, error_code, error_detail, finished_at IS NOT NULL FROM media.media WHERE id = %L', :'film'),
  $$VALUES ('failed', 'worker_lost', 'the worker w1 stopped without a word (attempt 3 of 3)', true)$$, 'lost: the media failed, with the cause');
SELECT results_eq('SELECT queue FROM media.outbox ORDER BY id', $$VALUES ('dead'), ('notify')$$, 'lost: a dead letter and a notification');
SELECT is((SELECT message::jsonb FROM media.outbox WHERE queue = 'dead'),
  jsonb_build_object('v', 1, 'job_id', :'job', 'media_id', :'film', 'step', 'work', 'attempt', 3, 'error',
    '{"code": "worker_lost", "detail": "the worker w1 stopped without a word (attempt 3 of 3)"}'::jsonb), 'lost: the dead letter says why');
SELECT is((SELECT code FROM media.job_finish(:'job', 3, '{}')), 'lost', 'zombie: finish of a failed job');
SELECT is((SELECT count(*)::int FROM media.objects WHERE job_id = :'job' AND state <> 'doomed'), 0, 'lost: no object of it stays');
DELETE FROM media.jobs;

-- the back-off has an end
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job \gset
UPDATE media.jobs SET max_attempts = 100, attempt = 98 WHERE id = :'job';
SELECT is(claim('work'), :'job', 'back-off: attempt 99');
SELECT is(fail_job(:'job', true), 'retried', 'back-off: again');
SELECT ok((SELECT not_before - now() BETWEEN interval '260s' AND interval '340s' FROM media.jobs WHERE id = :'job'),
  'back-off: never longer than 300 s, spread');
SELECT is(claim_job(:'job'), 2::bigint, 'back-off: attempt 100');
SELECT is(fail_job(:'job', true), 'failed', 'back-off: the end');

-- fail
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job \gset
SELECT is(claim('work'), :'job', 'fail: claimed');
DELETE FROM media.outbox;
SELECT is(code || outbox, 'retried[]', 'fail: may be tried again') FROM media.job_fail(:'job', 1, true, 's3_down', repeat('x', 5000));
SELECT results_eq(format('SELECT state, error_code, length(error_detail), attempt FROM media.jobs WHERE id = %L', :'job'),
  $$VALUES ('queued', 's3_down', 1000, 1)$$, 'fail: queued, with the cause, cut');
SELECT is((SELECT count(*)::int FROM media.outbox), 0, 'fail: the janitor announces it when due');
SELECT is((SELECT code FROM media.job_fail(:'job', 1, false, 'x', 'x')), 'lost', 'fail: twice');
SELECT is(claim_job(:'job'), 2::bigint, 'fail: claimed again');
SELECT code, outbox FROM media.job_fail(:'job', 2, false, 'bad_input', 'no sound in it') \gset
SELECT is(:'code'::text, 'failed', 'fail: need not be tried again');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'failed', 'fail: the media failed');
SELECT results_eq(format('SELECT x ->> ''queue'', x ->> ''message'', (x ->> ''id'')::bigint FROM jsonb_array_elements(%L) x', :'outbox'),
  'SELECT queue, message, id FROM media.outbox ORDER BY id', 'fail: the answer has the messages of the outbox');
SELECT results_eq('SELECT queue FROM media.outbox ORDER BY id', $$VALUES ('dead'), ('notify')$$, 'fail: a dead letter, a notification');

-- release: the attempt does not count, the fence does
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job \gset
SELECT is(claim('work'), :'job', 'release: claimed');
SELECT media.job_object(:'job', 1, 'r1') \gset _
DELETE FROM media.outbox;
SELECT code, outbox FROM media.job_release(:'job', 1) \gset
SELECT is(:'code'::text, 'ok', 'release');
SELECT results_eq(format('SELECT state, attempt, fence, worker, not_before <= now() FROM media.jobs WHERE id = %L', :'job'),
  $$VALUES ('queued', 0, 1::bigint, NULL::text, true)$$, 'release: due at once, nothing lost');
SELECT is(object_state('r1'), 'doomed', 'release: its object goes');
SELECT is((SELECT string_agg(queue || message, '') FROM media.outbox),
  :'outbox'::jsonb -> 0 ->> 'queue' || (:'outbox'::jsonb -> 0 ->> 'message'), 'release: announced at once');
SELECT is((SELECT code FROM media.job_release(:'job', 1)), 'lost', 'release: twice');
SELECT is((SELECT code FROM media.job_finish(:'job', 1, '{}')), 'lost', 'release: then finish');
SELECT is(claim('work'), :'job', 'release: claimed by the next');
SELECT is((job(:'film', 'work')).attempt, 1, 'release: whose attempt is the first');

-- finish: winners live, losers go
SELECT string_agg(o.code, '') AS codes FROM unnest(ARRAY['w1', 'w2', 'loser']) k, media.job_object(:'job', 2, k) o \gset _
SELECT media.job_object_s3id('w1', 's3') \gset _
DELETE FROM media.outbox;
SELECT jsonb_build_object('outputs', jsonb_build_array(
    output('w1', 'main.mp3') || '{"bitrate": 192000, "width": 4, "height": 3}', output('w2', 'poster.jpg')),
  'probe', '{"streams": 2}'::jsonb, 'note', 'kept') AS result \gset
SELECT code, outbox FROM media.job_finish(:'job', 2, :'result') \gset
SELECT is(:'code'::text, 'ok', 'finish');
SELECT results_eq(format('SELECT state, lease_until, progress, finished_at IS NOT NULL, result FROM media.jobs WHERE id = %L', :'job'),
  $$VALUES ('succeeded', NULL::timestamptz, 1::float8, true, '{"note": "kept"}'::jsonb)$$, 'finish: the job');
SELECT results_eq(format('SELECT name, job_id, kind, content_type, size_bytes, sha256, etag, object_key, width, height, duration, bitrate
    FROM media.outputs WHERE media_id = %L ORDER BY name', :'film'),
  format($$VALUES ('main.mp3', %1$L::uuid, 'audio', 'audio/mpeg', 5::bigint, %2$L, '"out"', 'w1', 4, 3, 2.5::float8, 192000::bigint),
    ('poster.jpg', %1$L, 'audio', 'audio/mpeg', 5, %2$L, '"out"', 'w2', NULL, NULL, 2.5, NULL)$$, :'job', repeat('cd', 32)), 'finish: the outputs');
SELECT results_eq($$SELECT object_key, state, s3_upload_id FROM media.objects WHERE object_key IN ('w1', 'w2', 'loser') ORDER BY 1$$,
  $$VALUES ('loser', 'doomed', NULL::text), ('w1', 'live', NULL), ('w2', 'live', NULL)$$, 'finish: winners live, the loser is doomed');
SELECT is(object_state('original/' || :'film'), 'live', 'finish: the original stays');
SELECT results_eq(format('SELECT state, probe, error_code FROM media.media WHERE id = %L', :'film'),
  $$VALUES ('ready', '{"streams": 2}'::jsonb, NULL::text)$$, 'finish: the media is ready');
SELECT everything() AS before \gset
SELECT is(code || outbox, 'ok[]', 'finish twice: ok') FROM media.job_finish(:'job', 2, :'result');
SELECT is((SELECT code FROM media.job_finish(:'job', 1, :'result')), 'lost', 'finish under an old fence: lost');
SELECT is((SELECT code FROM media.job_fail(:'job', 2, true, 'x', 'x')), 'lost', 'fail after finish: lost');
SELECT is((SELECT code FROM media.job_release(:'job', 2)), 'lost', 'release after finish: lost');
SELECT is((SELECT code FROM media.job_heartbeat(:'job', 2, 60, 0.1, 1)), 'lost', 'heartbeat after finish: lost');
SELECT is((SELECT code FROM media.job_object(:'job', 2, 'late')), 'lost', 'object after finish: lost');
SELECT is(everything(), :'before'::text, 'nothing of it has changed anything');
SELECT is(code, 'lost', 'finish of an unknown job') FROM media.job_finish(:'unknown', 1, '{}');

-- another attempt's output of the same name takes its place
SELECT media(:'ann', 'line') AS film \gset
SELECT is(done(job_id(:'film', 'x'), 'same.mp3'), 'ok', 'replace: the first');
SELECT object_key AS old_key FROM media.outputs WHERE media_id = :'film' \gset
SELECT is(done(job_id(:'film', 'y'), 'same.mp3'), 'ok', 'replace: the second');
SELECT results_eq(format('SELECT job_id, object_key <> %L FROM media.outputs WHERE media_id = %L', :'old_key', :'film'),
  format('VALUES (%L::uuid, true)', job_id(:'film', 'y')), 'replace: one output, of the second');
SELECT is(object_state(:'old_key'), 'doomed', 'replace: the object of the first goes');
SELECT is((SELECT object_state(object_key) FROM media.outputs WHERE media_id = :'film'), 'live', 'replace: that of the second lives');
SELECT claim_job(job_id(:'film', 'z')) AS fence, job_id(:'film', 'z') AS job \gset
SELECT string_agg(o.code, '') AS codes FROM unnest(ARRAY['twice-1', 'twice-2']) k, media.job_object(:'job', :fence, k) o \gset _
SELECT is(finish_job(:'job', jsonb_build_object('outputs', jsonb_build_array(output('twice-1'), output('twice-2')))), 'ok', 'replace: in one result');
SELECT is(object_state('twice-1') || ' ' || object_state('twice-2'), 'doomed live', 'replace: the last one wins');

-- finish of a job whose media is gone
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job \gset
SELECT is(claim_job(:'job'), 1::bigint, 'removed: claimed');
DELETE FROM media.media WHERE id = :'film';
SELECT is((SELECT code FROM media.job_finish(:'job', 1, '{}')), 'lost', 'removed: finish');
SELECT is((SELECT code FROM media.job_heartbeat(:'job', 1, 60, NULL, NULL)), 'lost', 'removed: heartbeat');
SELECT * FROM finish();
