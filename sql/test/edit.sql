-- What an owner does to media: change, delete, stop, run again, run another pipeline.
SELECT no_plan();
SELECT sessions(2) \gset _
SELECT person('ann') AS ann, person('bob') AS bob, media.uuid7() AS unknown \gset
CREATE FUNCTION test.said(p_code text, p_detail text) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', p_code, p_detail) $$;
CREATE FUNCTION test.patch(p_id uuid, p_title text DEFAULT NULL, p_visibility text DEFAULT NULL, p_has_title boolean DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
  SELECT said(code, detail) FROM media.media_patch(who('ann'), p_id, coalesce(p_has_title, p_title IS NOT NULL), p_title, p_visibility)
$$;
CREATE FUNCTION test.stop(p_id uuid) RETURNS text LANGUAGE sql AS $$ SELECT said(code, detail) FROM media.media_cancel(who('ann'), p_id) $$;
CREATE FUNCTION test.again(p_id uuid) RETURNS text LANGUAGE sql AS $$ SELECT said(code, detail) FROM media.media_retry(who('ann'), p_id) $$;
CREATE FUNCTION test.run(p_id uuid, p_pipeline text, p_params jsonb DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT said(code, detail) FROM media.media_run(who('ann'), p_id, p_pipeline, p_params)
$$;
CREATE FUNCTION test.of_run(p_id uuid, p_step text, p_run int) RETURNS uuid LANGUAGE sql AS $$
  SELECT id FROM media.jobs WHERE media_id = p_id AND step = p_step AND run = p_run
$$;
CREATE FUNCTION test.runs(p_id uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(run || step || ':' || state, ' ' ORDER BY run, step, ordinal) FROM media.jobs WHERE media_id = p_id AND step <> 'notify'
$$;
CREATE FUNCTION test.outputs(p_id uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(o.name || '@' || j.run, ' ' ORDER BY o.name) FROM media.outputs o JOIN media.jobs j ON j.id = o.job_id WHERE o.media_id = p_id
$$;
CREATE FUNCTION test.objects(p_id uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(n || ' ' || state, ', ' ORDER BY state) FROM
    (SELECT state, count(*) AS n FROM media.objects WHERE media_id = p_id AND job_id IS NOT NULL GROUP BY state) s
$$;
CREATE FUNCTION test.state(p_id uuid) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', state, error_code, pipeline, 'run', run) FROM media.media WHERE id = p_id
$$;

-- not theirs
SELECT media(:'ann') AS film \gset
SELECT everything() AS before \gset
SELECT is((SELECT string_agg(code, ' ') FROM (VALUES (:'bob'::uuid, :'film'::uuid), (:'ann', :'unknown'), (NULL, :'film')) t (o, m),
    LATERAL (SELECT code FROM media.media_patch(o, m, true, 'x', 'public') UNION ALL SELECT code FROM media.media_delete(o, m)
      UNION ALL SELECT code FROM media.media_cancel(o, m) UNION ALL SELECT code FROM media.media_retry(o, m)
      UNION ALL SELECT code FROM media.media_run(o, m, 'one', NULL)) c),
  array_to_string(array_fill('not_found'::text, ARRAY[15]), ' '), 'somebody else''s, unknown, without an owner');
SELECT is(everything(), :'before'::text, 'nothing happens');

-- patch
SELECT revision, token_epoch FROM media.media WHERE id = :'film' \gset
SELECT is(patch(:'film', 'New'), 'ok', 'patch: a title');
SELECT results_eq(format('SELECT title, visibility, revision, token_epoch FROM media.media WHERE id = %L', :'film'),
  format($$VALUES ('New', 'private', %s::bigint, %s)$$, :revision + 1, :token_epoch), 'patch: that alone, and a revision');
SELECT is(patch(:'film', 'New'), 'ok', 'patch: the same');
SELECT is(patch(:'film'), 'ok', 'patch: nothing');
SELECT is(patch(:'film', NULL, 'private'), 'ok', 'patch: the visibility it has');
SELECT is((SELECT revision FROM media.media WHERE id = :'film'), :revision + 1::bigint, 'patch: is no change');
SELECT is(patch(:'film', NULL, 'unlisted'), 'ok', 'patch: visibility');
SELECT results_eq(format('SELECT title, visibility, token_epoch FROM media.media WHERE id = %L', :'film'),
  format($$VALUES ('New', 'unlisted', %s)$$, :token_epoch + 1), 'patch: playback tokens end');
SELECT is(patch(:'film', NULL, NULL, true), 'ok', 'patch: no title');
SELECT is((SELECT title FROM media.media WHERE id = :'film'), NULL, 'patch: is none');
SELECT is(patch(:'film', NULL, 'secret'), 'bad_request visibility: must be private, unlisted or public', 'patch: no such visibility');
SELECT is(patch(:'film', repeat('ä', 2049)), 'bad_request title: may have 4096 bytes', 'patch: too long a title');
SELECT is(patch(:'film', repeat('ä', 2048), 'public'), 'ok', 'patch: both');
SELECT media AS answer FROM media.media_patch(:'ann', :'film', true, 'T', NULL) \gset
SELECT is(:'answer'::jsonb, (SELECT media::jsonb FROM media.media_get(:'ann', :'film')), 'patch: answers the resource');

-- delete
SELECT claim_job(job_id(:'film', 'work')) AS fence, job_id(:'film', 'work') AS job \gset
SELECT media.job_object(:'job', :'fence', 'd1') \gset _
SELECT is((SELECT code FROM media.media_delete(:'ann', :'film')), 'ok', 'delete: under a worker');
SELECT is_empty(format('SELECT FROM media.media_get(%L, %L)', :'ann', :'film'), 'delete: gone');
SELECT is((SELECT code FROM media.play_object(:'film', 2, NULL, 'original')), 'not_found', 'delete: for playback, too');
SELECT is((SELECT code FROM media.job_heartbeat(:'job', :'fence', 60, NULL, NULL)), 'lost', 'delete: the worker is told');
SELECT is_empty(format('SELECT FROM media.outbox WHERE job_id = %L', :'job'), 'delete: its messages');
SELECT results_eq(format('SELECT object_key, state, retry_at > now() FROM media.objects WHERE media_id = %L ORDER BY 1', :'film'),
  format($$VALUES ('d1', 'doomed', true), ('original/%s', 'doomed', false)$$, :'film'), 'delete: its objects go, what is being written in a while');
SELECT is((SELECT code FROM media.media_delete(:'ann', :'film')), 'not_found', 'delete: twice');

-- cancel, retry
SELECT media(:'ann', 'chain') AS film \gset
SELECT is(again(:'film'), 'conflict the media is processing: nothing of it has failed', 'retry: while it runs');
SELECT fan(:'film', 3) \gset _
SELECT claim_job(job_id(:'film', 'b', 1)) AS fence, job_id(:'film', 'b', 1) AS job \gset
SELECT media.job_object(:'job', :'fence', 'c1') \gset _
SELECT is(stop(:'film'), 'ok', 'cancel');
SELECT is(runs(:'film'), '1a:succeeded 1b:canceled 1b:canceled 1b:canceled 1c:canceled', 'cancel: all that was to be done');
SELECT is(state(:'film'), 'canceled chain run 1', 'cancel: the media');
SELECT is(notices(:'film'), NULL, 'cancel: nobody is told');
SELECT is(object_state('c1'), 'doomed', 'cancel: what a worker was writing goes');
SELECT is((SELECT code FROM media.job_heartbeat(:'job', :'fence', 60, NULL, NULL)), 'canceled', 'cancel: the worker is told');
SELECT is(stop(:'film'), 'conflict the media is canceled: nothing is left to stop', 'cancel: twice');
DELETE FROM media.outbox;
SELECT code, outbox FROM media.media_retry(:'ann', :'film') \gset
SELECT is(runs(:'film'), '1a:succeeded 1b:queued 1b:queued 1b:queued 1c:waiting', 'retry: all that was stopped');
SELECT is(jsonb_array_length(:'outbox'), (SELECT count(*)::int FROM media.outbox), 'retry: to be published at once');
SELECT is((SELECT count(*)::int FROM media.outbox), 3, 'retry: three jobs');
SELECT is((SELECT string_agg(done(job_id(:'film', 'b', n), NULL), ' ') FROM generate_series(0, 2) n) || done(job_id(:'film', 'c')),
  'ok ok okok', 'retry: done');
SELECT is(state(:'film'), 'ready chain run 1', 'retry: ready');
SELECT is(again(:'film'), 'conflict the media is ready: nothing of it has failed', 'retry: of what is ready');
SELECT is(stop(:'film'), 'conflict the media is ready: nothing is left to stop', 'cancel: of what is ready');
SELECT media(:'ann', 'line') AS film \gset
SELECT done(job_id(:'film', 'x'), 'x.mp3') AS x, claim_job(job_id(:'film', 'y')) AS f, fail_job(job_id(:'film', 'y')) AS code \gset
SELECT is(again(:'film'), 'ok', 'retry: after a failure');
SELECT is(runs(:'film'), '1x:succeeded 1y:queued 1z:waiting', 'retry: what failed and what was canceled because of it, not what was done');
SELECT is(outputs(:'film'), 'x.mp3@1', 'retry: what was made stays');
SELECT is(stop(:'film'), 'ok', 'cancel: then stopped');
SELECT is(notices(:'film'), 'media.failed', 'cancel: its owner was told of the failure alone');

-- another pipeline
SELECT media(:'ann') AS film \gset
SELECT everything() AS before \gset
SELECT is(run(:'film', 'line'), 'conflict pipeline one is still at work: cancel it first', 'run: while it runs');
SELECT is(run(:'film', 'no-such'), 'pipeline_unknown there is no pipeline "no-such"', 'run: no such pipeline');
SELECT is(run(:'film', 'one', '{"n": 99}'), 'params_invalid params.n: 99 is outside 1..10', 'run: bad params');
SELECT is(everything(), :'before'::text, 'run: refused, nothing has changed');
SELECT is(done(job_id(:'film', 'work'), 'one.mp3'), 'ok', 'run: the first is done');
SELECT code, media, outbox FROM media.media_run(:'ann', :'film', 'line', NULL) \gset
SELECT is(state(:'film'), 'processing line run 2', 'run: another');
SELECT is(runs(:'film'), '1work:succeeded 2x:queued 2y:waiting 2z:waiting', 'run: its jobs beside those that made something');
SELECT is((SELECT string_agg(j ->> 'step', ' ' ORDER BY j ->> 'step') FROM jsonb_array_elements(:'media'::jsonb -> 'jobs') j),
  'x y z', 'run: the resource shows its jobs');
SELECT is((:'media'::jsonb ->> 'progress')::float8, 0::float8, 'run: and its progress');
SELECT is(:'outbox'::jsonb #>> '{0,message}', (SELECT message FROM media.outbox WHERE job_id = of_run(:'film', 'x', 2)), 'run: to be published at once');
SELECT is((SELECT code FROM media.media_object(:'ann', :'film', 'one.mp3')), 'ok', 'run: what there was can still be had');
SELECT is((SELECT code FROM media.media_object(:'ann', :'film', '')), 'not_ready', 'run: the main output is that of the new pipeline');
SELECT is((SELECT string_agg(done(of_run(:'film', s, 2), s || '.mp3'), ' ') FROM unnest('{x,y,z}'::text[]) s), 'ok ok ok', 'run: its steps');
SELECT is(outputs(:'film'), 'one.mp3@1 x.mp3@2 y.mp3@2 z.mp3@2', 'run: outputs of both');
SELECT is((SELECT output FROM media.media_object(:'ann', :'film', '')), 'z.mp3', 'run: its main output');
SELECT is(notices(:'film'), 'media.ready media.ready', 'run: its owner is told of each end');

-- the same pipeline once more
SELECT is(run(:'film', 'line', '{}'), 'ok', 'rerun');
SELECT is((SELECT count(DISTINCT run)::int FROM media.jobs WHERE media_id = :'film' AND step = 'notify' AND state = 'queued'),
  2, 'rerun: mails go out all the same');
SELECT is((SELECT string_agg(done(of_run(:'film', s, 3), s || '.mp3'), ' ') FROM unnest('{x,y}'::text[]) s), 'ok ok', 'rerun: two of three steps');
SELECT is(outputs(:'film'), 'one.mp3@1 x.mp3@2 y.mp3@2 z.mp3@2', 'rerun: the old outputs are served until all is done');
SELECT is((SELECT output FROM media.media_object(:'ann', :'film', '')), 'z.mp3', 'rerun: the main one, too');
SELECT is(objects(:'film'), '6 live', 'rerun: what it has made waits');
SELECT is(done(of_run(:'film', 'z', 3), 'other.mp3'), 'ok', 'rerun: the last step, with an output of another name');
SELECT is(outputs(:'film'), 'one.mp3@1 other.mp3@3 x.mp3@3 y.mp3@3', 'rerun: all of its own at once');
SELECT is(objects(:'film'), '3 doomed, 4 live', 'rerun: the losers go');
SELECT is(runs(:'film'), '1work:succeeded 3x:succeeded 3y:succeeded 3z:succeeded', 'rerun: with their jobs');
SELECT is_empty('SELECT FROM media.objects o WHERE state = ''live'' AND NOT EXISTS (SELECT FROM media.outputs p WHERE p.object_key = o.object_key)
    AND NOT EXISTS (SELECT FROM media.media m WHERE m.object_key = o.object_key)', 'rerun: what lives has a name');
SELECT is_empty('SELECT FROM media.jobs WHERE result ? ''outputs''', 'rerun: nothing is kept back any more');

-- one that fails
SELECT is(run(:'film', 'line'), 'ok', 'failed rerun');
SELECT done(of_run(:'film', 'x', 4), 'x.mp3') AS x, claim_job(of_run(:'film', 'y', 4)) AS f, fail_job(of_run(:'film', 'y', 4)) AS code \gset
SELECT is(state(:'film'), 'failed bad_input line run 4', 'failed rerun: the media says so');
SELECT is(outputs(:'film'), 'one.mp3@1 other.mp3@3 x.mp3@3 y.mp3@3', 'failed rerun: what there was stays');
SELECT is((SELECT output FROM media.media_object(:'ann', :'film', '')), 'other.mp3', 'failed rerun: the main output, too');
SELECT is(again(:'film'), 'ok', 'failed rerun: tried again');
SELECT is((SELECT string_agg(done(of_run(:'film', s, 4), s || '.mp3'), ' ') FROM unnest('{y,z}'::text[]) s), 'ok ok', 'failed rerun: done now');
SELECT is(outputs(:'film'), 'one.mp3@1 x.mp3@4 y.mp3@4 z.mp3@4', 'failed rerun: with what had been made before');
SELECT is(run(:'film', 'line'), 'ok', 'failed rerun: a last one');
SELECT done(of_run(:'film', 'x', 5), 'x.mp3') \gset _
SELECT is(stop(:'film'), 'ok', 'failed rerun: stopped');
SELECT objects(:'film') AS objects \gset
SELECT is(run(:'film', 'one'), 'ok', 'failed rerun: another pipeline takes its place');
SELECT is(runs(:'film'), '1work:succeeded 4x:succeeded 4y:succeeded 4z:succeeded 6work:queued', 'failed rerun: its jobs are gone');
SELECT is_empty(format('SELECT FROM media.objects WHERE media_id = %L AND state = ''live'' AND object_key LIKE ''%%x.mp3''
  AND job_id NOT IN (SELECT id FROM media.jobs)',
  :'film'), 'failed rerun: what it had made goes, too');
SELECT is(done(of_run(:'film', 'work', 6), 'one.mp3'), 'ok', 'failed rerun: done');
SELECT is(outputs(:'film'), 'one.mp3@6 x.mp3@4 y.mp3@4 z.mp3@4', 'failed rerun: the other pipeline''s outputs stay');

-- a first run that failed has nothing to replace
SELECT media(:'ann', 'line') AS film \gset
SELECT claim_job(job_id(:'film', 'x')) AS f, fail_job(job_id(:'film', 'x')) AS code \gset
SELECT is(run(:'film', 'line'), 'ok', 'after a failure');
SELECT is(runs(:'film'), '2x:queued 2y:waiting 2z:waiting', 'after a failure: its jobs are gone');
SELECT is(done(of_run(:'film', 'x', 2), 'x.mp3'), 'ok', 'after a failure: a step');
SELECT is(outputs(:'film'), 'x.mp3@2', 'after a failure: its output is served at once');
-- two pipelines with outputs of the same name
SELECT media(:'ann', 'one') AS film \gset
SELECT done(job_id(:'film', 'work'), 'same.mp3') AS d, run(:'film', 'line') AS r \gset
SELECT is(done(of_run(:'film', 'x', 2), 'same.mp3'), 'ok', 'same name');
SELECT is(outputs(:'film') || ' ' || objects(:'film'), 'same.mp3@2 1 doomed, 1 live', 'same name: the later one has it');
-- fan-out of a rerun
SELECT media(:'ann', 'chain') AS film \gset
SELECT fan(:'film', 4) \gset _
SELECT is((SELECT string_agg(done(job_id(:'film', 'b', n), 'b' || n || '.mp3'), '') FROM generate_series(0, 3) n) || done(job_id(:'film', 'c'), 'c.mp3'),
  'okokokokok', 'fan-out: first');
SELECT is(run(:'film', 'chain', '{"n": 7}'), 'ok', 'fan-out: again');
SELECT claim_job(of_run(:'film', 'a', 2)) AS f, finish_job(of_run(:'film', 'a', 2), '{"fan_out": [{"step": "b"}, {"step": "b"}]}') AS c \gset
SELECT results_eq(format('SELECT ordinal, pipeline, params FROM media.jobs WHERE media_id = %L AND run = 2 AND step = ''b'' ORDER BY 1', :'film'),
  $$VALUES (0, 'chain', '{"n": 7}'::jsonb), (1, 'chain', '{"n": 7}')$$, 'fan-out: its own count, its own params');
SELECT is((SELECT string_agg(done(id, 'b' || ordinal || '.mp3'), '') FROM media.jobs WHERE media_id = :'film' AND run = 2 AND step = 'b'),
  'okok', 'fan-out: fewer');
SELECT is(outputs(:'film'), 'b0.mp3@1 b1.mp3@1 b2.mp3@1 b3.mp3@1 c.mp3@1', 'fan-out: not before all is done');
SELECT is(done(of_run(:'film', 'c', 2), 'c.mp3'), 'ok', 'fan-out: done');
SELECT is(outputs(:'film'), 'b0.mp3@2 b1.mp3@2 c.mp3@2', 'fan-out: none of the first is left');

-- together: the last word is one of the two, and no deadlock
CREATE PROCEDURE test.against(p_session int) LANGUAGE plpgsql AS $$
DECLARE
  v_film uuid;
BEGIN
  PERFORM test.gate();
  FOR i IN 1 .. 30 LOOP
    v_film := (SELECT id FROM media.media WHERE name = 'race' ORDER BY id LIMIT 1 OFFSET i - 1);
    IF p_session = 1 THEN
      PERFORM media.media_cancel(owner_id, id) FROM media.media WHERE id = v_film;
      PERFORM media.media_delete(owner_id, id) FROM media.media WHERE id = v_film AND i % 3 = 0;
    ELSE
      PERFORM test.finish_job(id) FROM media.jobs WHERE media_id = v_film AND step = 'a';
      PERFORM media.outbox_sent(ARRAY(SELECT id FROM media.outbox ORDER BY id DESC));
    END IF;
    COMMIT;
  END LOOP;
END $$;
SELECT media(:'ann', 'chain', 'race') FROM generate_series(1, 30) \g /dev/null
SELECT claim_job(j.id) FROM media.jobs j JOIN media.media m ON m.id = j.media_id WHERE m.name = 'race' AND j.step = 'a' \g /dev/null
SELECT is(race(2, 'CALL test.against(%s)'), array_fill('CALL'::text, ARRAY[2]), 'owners stop and delete what workers finish');
SELECT is_empty($$SELECT m.state, string_agg(j.state, ' ') FROM media.media m JOIN media.jobs j ON j.media_id = m.id AND j.run = m.run AND j.essential
   WHERE m.name = 'race' GROUP BY m.id HAVING (m.state = 'processing') <> bool_or(j.state IN ('waiting', 'queued', 'running'))$$,
    'states agree with their jobs');

-- the notifier's own functions
SELECT media(:'ann') AS film \gset
SELECT is(done(job_id(:'film', 'work')), 'ok', 'notifier: something to tell');
DELETE FROM media.jobs WHERE step = 'notify' AND media_id <> :'film';
SELECT id AS note, fence FROM media.notify_claim('n', 30) \gset
SELECT is((SELECT queue || ' ' || worker FROM media.jobs WHERE id = :'note'), 'notify n', 'notifier: claims a notification');
SELECT is_empty($$SELECT FROM media.notify_claim('n', 30)$$, 'notifier: there is no other');
SELECT media(:'ann') AS other \gset
SELECT claim_job(job_id(:'other', 'work')) AS other_fence, job_id(:'other', 'work') AS job \gset
SELECT everything() AS before \gset
SELECT is((SELECT code FROM media.notify_heartbeat(:'job', :other_fence, 60, 1, 1)) || (SELECT code FROM media.notify_finish(:'job', :other_fence, '{}'))
  || (SELECT code FROM media.notify_fail(:'job', :other_fence, false, 'c', 'd')) || (SELECT code FROM media.notify_release(:'job', :other_fence)),
  'lostlostlostlost', 'notifier: a job of another queue is none');
SELECT is(everything(), :'before'::text, 'notifier: and stays as it is');
SELECT is((SELECT code FROM media.notify_heartbeat(:'note', :fence, 60, NULL, NULL)), 'ok', 'notifier: heart-beat');
SELECT is((SELECT code FROM media.notify_finish(:'note', :fence,
  '{"reply": "250", "probe": {}, "outputs": [{"object_key": "x"}], "fan_out": [{"step": "b"}]}')),
  'ok', 'notifier: finish');
SELECT is((SELECT result FROM media.jobs WHERE id = :'note'), '{"reply": "250"}', 'notifier: makes neither outputs nor jobs');
SELECT is((SELECT probe FROM media.media WHERE id = :'film'), NULL, 'notifier: nor a probe');
SELECT * FROM finish();
