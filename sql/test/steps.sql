-- Steps of a pipeline: order, fan-out, fan-in, what a failure takes along, how media settle, who is told.
SELECT no_plan();
SELECT person('ann') AS ann \gset

-- in order
SELECT media(:'ann', 'line') AS film \gset
SELECT is(states(:'film'), 'x:queued y:waiting z:waiting', 'line: the first is due');
SELECT is(claim('y', 'z'), NULL, 'line: no other can be claimed');
DELETE FROM media.outbox;
SELECT claim_job(job_id(:'film', 'x')) AS fence \gset
SELECT code, outbox FROM media.job_finish(job_id(:'film', 'x'), :fence, '{}') \gset
SELECT is(states(:'film'), 'x:succeeded y:queued z:waiting', 'line: then the second');
SELECT results_eq(format('SELECT x ->> ''queue'', x ->> ''message'' FROM jsonb_array_elements(%L) x', :'outbox'),
  format('SELECT ''short'', media.job_message(%L, ''req-1'', ''00-trace'')', job_id(:'film', 'y')), 'line: whose message is in the answer');
SELECT is(done(job_id(:'film', 'y'), NULL), 'ok', 'line: second done');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'processing', 'line: not ready before the last');
SELECT is(notices(:'film'), NULL, 'line: nobody is told yet');
SELECT is(done(job_id(:'film', 'z')), 'ok', 'line: third done');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'line: ready');
SELECT is(notices(:'film'), 'media.ready', 'line: its owner is told, once');

-- a failure cancels what depends on it, at any distance
SELECT media(:'ann', 'line') AS film \gset
SELECT claim_job(job_id(:'film', 'x')) \gset _
SELECT is(fail_job(job_id(:'film', 'x')), 'failed', 'failure: of the first');
SELECT is(states(:'film'), 'x:failed y:canceled z:canceled', 'failure: cancels the rest');
SELECT results_eq(format('SELECT state, error_code, error_detail FROM media.media WHERE id = %L', :'film'),
  $$VALUES ('failed', 'bad_input', 'no sound in it')$$, 'failure: the media has its cause');
SELECT is(notices(:'film'), 'media.failed', 'failure: its owner is told, once');

-- fan-out
SELECT media(:'ann', 'chain') AS film \gset
SELECT is(fan(:'film', 40), 'ok', 'fan-out: into 40');
SELECT is((SELECT count(*)::int FROM media.jobs WHERE media_id = :'film' AND step = 'b' AND state = 'queued' AND queue = 'long'), 40,
  'fan-out: 40 jobs');
SELECT is((SELECT jsonb_agg(range ORDER BY ordinal) FROM media.jobs WHERE media_id = :'film' AND step = 'b'),
  (SELECT jsonb_agg(jsonb_build_array(n * 40, n * 40 + 39) ORDER BY n) FROM generate_series(0, 39) n), 'fan-out: in order, each with its range');
SELECT is((SELECT count(*)::int FROM media.outbox o JOIN media.jobs j ON j.id = o.job_id WHERE j.media_id = :'film' AND o.queue = 'long'), 40,
  'fan-out: 40 messages');
SELECT is((job(:'film', 'c')).state, 'waiting', 'fan-in: waits');
UPDATE media.jobs SET priority = 1 WHERE id = job_id(:'film', 'b', 3);
SELECT is(range, '[120, 159]', 'fan-out: a claim tells the range') FROM media.job_claim('long', 'w', 30, '{b}');
SELECT is((SELECT code FROM media.job_release(job_id(:'film', 'b', 3), 1)), 'ok', 'fan-out: given back');
SELECT is((SELECT count(*)::int FROM generate_series(0, 38) n WHERE done(job_id(:'film', 'b', n), NULL) = 'ok'), 39, 'fan-in: 39 are done');
SELECT is((job(:'film', 'c')).state, 'waiting', 'fan-in: still waits');
SELECT is(done(job_id(:'film', 'b', 39), NULL), 'ok', 'fan-in: the last');
SELECT is((job(:'film', 'c')).state, 'queued', 'fan-in: is due');
SELECT is(done(job_id(:'film', 'c')), 'ok', 'fan-in: done');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'chain: ready');

-- fan-in: no other state of the last job will do
SELECT media(:'ann', 'chain') AS film \gset
SELECT fan(:'film', 1) \gset _
CREATE FUNCTION test.advanced(p_media uuid, p_state text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  SET LOCAL session_replication_role = replica;
  UPDATE media.jobs SET state = p_state, lease_until = CASE WHEN p_state = 'running' THEN now() END WHERE media_id = p_media AND step = 'b';
  UPDATE media.jobs SET state = 'waiting' WHERE media_id = p_media AND step = 'c';
  SET LOCAL session_replication_role = origin;
  PERFORM media.media_advance(p_media);
  RETURN (test.job(p_media, 'c')).state;
END $$;
SELECT is(advanced(:'film', s), CASE s WHEN 'succeeded' THEN 'queued' ELSE 'waiting' END, 'fan-in: b is ' || s)
  FROM unnest('{queued,running,failed,canceled,succeeded}'::text[]) s;

-- fan-out: what it cannot be
SELECT media(:'ann', 'chain') AS film \gset
SELECT claim_job(job_id(:'film', 'a')) AS fence, job_id(:'film', 'a') AS job \gset
SELECT everything() AS before \gset
SELECT throws_ok(format('SELECT * FROM media.job_finish(%L, %s, %L)', :'job', :'fence', f), '23514', NULL, 'fan-out: not into ' || f)
  FROM unnest(ARRAY['{"fan_out": [{"step": "no-such"}]}', '{"fan_out": [{"step": "b"}, {"step": "c"}]}', '{"fan_out": [{}]}']) f;
SELECT is(everything(), :'before'::text, 'fan-out: nothing of it was done');
-- nothing would ever finish c
SELECT is(finish_job(:'job', '{"fan_out": []}'), 'ok', 'fan-out: into nothing');
SELECT is(states(:'film'), 'a:succeeded c:canceled', 'fan-out: into nothing: what waits for it is canceled');
SELECT results_eq(format('SELECT state, error_code FROM media.media WHERE id = %L', :'film'), $$VALUES ('failed', 'pipeline_stuck')$$,
  'fan-out: into nothing: the media fails and does not stay processing');
SELECT is(notices(:'film'), 'media.failed', 'fan-out: into nothing: its owner is told');
SELECT media(:'ann', 'typo') AS film \gset
SELECT is(states(:'film'), 'early:queued late:waiting', 'typo: waits for a step that is not there');
SELECT is(done(job_id(:'film', 'early'), NULL), 'ok', 'typo: the other is done');
SELECT is((SELECT state || ' ' || error_code FROM media.media WHERE id = :'film'), 'failed pipeline_stuck', 'typo: the media fails');
SELECT is((SELECT error_detail FROM media.media WHERE id = :'film'), 'the step "late" waits for a step that will never be done',
  'typo: the cause names the step');
SELECT media(:'ann', 'ring') AS film \gset
SELECT is(states(:'film'), 'p:canceled q:canceled', 'ring: two steps that wait for each other');
SELECT is((SELECT state || ' ' || error_code FROM media.media WHERE id = :'film'), 'failed pipeline_stuck', 'ring: the media fails');

-- one of many fails
SELECT media(:'ann', 'chain') AS film \gset
SELECT fan(:'film', 5) \gset _
SELECT claim_job(job_id(:'film', 'b', 2)) \gset _
SELECT is(fail_job(job_id(:'film', 'b', 2)), 'failed', 'one of five: fails');
SELECT is((job(:'film', 'c')).state, 'canceled', 'one of five: what waits for all is canceled');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'processing', 'one of five: the others are not yet done');
SELECT is(notices(:'film'), NULL, 'one of five: nobody is told yet');
SELECT is(done(job_id(:'film', 'b', n), NULL), 'ok', 'one of five: another, ' || n) FROM unnest(ARRAY[0, 1, 3]) n;
SELECT claim_job(job_id(:'film', 'b', 4)) \gset _
SELECT is(fail_job(job_id(:'film', 'b', 4)), 'failed', 'one of five: the last one fails, too');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'failed', 'one of five: the media failed');
SELECT is(notices(:'film'), 'media.failed', 'one of five: told once');
SELECT is((job(:'film', 'c')).state, 'canceled', 'one of five: c never ran');

-- the notification: everything in it is frozen
SELECT media(:'ann') AS film, media(:'ann') AS bad \gset
SELECT is(done(job_id(:'film', 'work')), 'ok', 'notice: ready');
SELECT params AS frozen, id AS notice FROM media.jobs WHERE media_id = :'film' AND step = 'notify' \gset
SELECT is(:'frozen'::jsonb - 'at', jsonb_build_object('event', 'media.ready', 'to', 'ann@example.test', 'media_id', :'film', 'name', 'film.mp4',
  'title', 'A film', 'pipeline', 'one', 'epoch', 1, 'error', NULL,
  'output', '{"name": "main.mp3", "content_type": "audio/mpeg", "size": 5, "duration": 2.5}'::jsonb), 'notice: what it says');
SELECT is((:'frozen'::jsonb ->> 'at')::numeric, (SELECT floor(extract(epoch FROM finished_at)) FROM media.media WHERE id = :'film'),
  'notice: and when');
SELECT results_eq(format('SELECT state, queue, essential, max_attempts FROM media.jobs WHERE id = %L', :'notice'),
  $$VALUES ('queued', 'notify', false, 10)$$, 'notice: a job like any other');
SELECT is((SELECT count(*)::int FROM media.outbox WHERE job_id = :'notice'), 1, 'notice: announced');
UPDATE media.users SET email = 'new@example.test' WHERE id = :'ann';
UPDATE media.media SET name = 'renamed', token_epoch = 2 WHERE id = :'film';
UPDATE media.jobs SET priority = 1 WHERE id = :'notice';
SELECT is(params, :'frozen'::jsonb::text, 'notice: nothing changes it') FROM media.job_claim('notify', 'n', 30, '{notify}');
SELECT is((SELECT params FROM media.jobs WHERE id = :'notice'), :'frozen'::jsonb, 'notice: is what it was');
SELECT is(fail_job(:'notice', true), 'retried', 'notice: fails');
SELECT is(claim_job(:'notice') > 1, true, 'notice: claimed again');
SELECT is((SELECT params FROM media.jobs WHERE id = :'notice'), :'frozen'::jsonb, 'notice: is what it was');
SELECT revision AS revision FROM media.media WHERE id = :'film' \gset
SELECT is(fail_job(:'notice'), 'failed', 'notice: cannot be sent');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'notice: the media stays ready');
SELECT is(notices(:'film'), 'media.ready', 'notice: and no notice is made of that');
SELECT claim_job(job_id(:'bad', 'work')) \gset _
SELECT fail_job(job_id(:'bad', 'work')) \gset _
SELECT is((SELECT params - 'at' FROM media.jobs WHERE media_id = :'bad' AND step = 'notify'), jsonb_build_object('event', 'media.failed',
  'to', 'new@example.test', 'media_id', :'bad', 'name', 'film.mp4', 'title', 'A film', 'pipeline', 'one', 'epoch', 1, 'output', NULL,
  'error', '{"code": "bad_input", "detail": "no sound in it"}'::jsonb), 'notice: of a failure');
SELECT media(:'ann') AS film \gset
UPDATE media.users SET disabled_at = now() WHERE id = :'ann';
SELECT is(done(job_id(:'film', 'work')), 'ok', 'notice: the owner was disabled');
SELECT is(notices(:'film'), NULL, 'notice: nobody is told');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'notice: the media is ready');
SELECT * FROM finish();
