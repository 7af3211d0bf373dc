-- What the operator can do: accounts, jobs, media.
SELECT no_plan();
SELECT media.uuid7() AS unknown \gset

-- accounts
SELECT code, id FROM media.ctl_user_add('Ann@example.test', '$y$1', '{user,admin}') \gset ann_
SELECT is(:'ann_code'::text, 'ok', 'user add');
SELECT results_eq($$SELECT * FROM media.ctl_user_add('aNN@example.test', '$y$2', '{user}')$$, $$VALUES ('conflict', NULL::uuid)$$,
  'user add: taken, whatever the case');
SELECT results_eq($$SELECT * FROM media.login_lookup('ANN@EXAMPLE.TEST')$$,
  format($$VALUES (%L::uuid, '$y$1', '["user","admin"]', 'Ann@example.test', encode(sha256('$y$1'), 'hex'))$$, :'ann_id'), 'login: whatever the case');
SELECT is_empty($$SELECT * FROM media.login_lookup('nobody@example.test')$$, 'login: unknown');
SELECT is_empty($$SELECT * FROM media.login_lookup('ann@example.tes_')$$, 'login: no pattern');
SELECT ok(login(:'ann_id', 'a') IS NOT NULL, 'session');
SELECT is((SELECT code FROM media.ctl_user_passwd('ann@EXAMPLE.test', '$y$3')), 'ok', 'passwd');
SELECT is((SELECT password_hash FROM media.users), '$y$3', 'passwd: is new');
SELECT is((SELECT count(*)::int FROM media.sessions), 0, 'passwd: ends the sessions');
SELECT is((SELECT code FROM media.ctl_user_passwd('nobody@example.test', '$y$3')), 'not_found', 'passwd: unknown');
SELECT login(:'ann_id', 'a') \gset _
SELECT media(:'ann_id') AS film \gset
SELECT is((SELECT code FROM media.ctl_user_disable('ANN@example.test', true)), 'ok', 'disable');
SELECT is((SELECT count(*)::int FROM media.sessions), 0, 'disable: ends the sessions');
SELECT is_empty($$SELECT * FROM media.login_lookup('ann@example.test')$$, 'disable: no login');
SELECT is(login(:'ann_id', 'a'), NULL, 'disable: no session');
SELECT is_empty(format('SELECT * FROM media.me(%L, NULL, NULL)', :'ann_id'), 'disable: no /me');
SELECT disabled_at AS since FROM media.users \gset
SELECT is((SELECT code FROM media.ctl_user_disable('ann@example.test', true)), 'ok', 'disable: again');
SELECT is((SELECT disabled_at FROM media.users), :'since'::timestamptz, 'disable: since the first time');
SELECT results_eq('SELECT id, email, roles, disabled, media, bytes FROM media.ctl_user_list()',
  format($$VALUES (%L::uuid, 'Ann@example.test', 'user,admin', true, 1::bigint, 100::bigint)$$, :'ann_id'), 'user list');
SELECT is((SELECT code FROM media.ctl_user_disable('ann@example.test', false)), 'ok', 'enable');
SELECT is((SELECT count(*)::int FROM media.login_lookup('ann@example.test')), 1, 'enable: login');
SELECT is((SELECT code FROM media.ctl_user_disable('nobody@example.test', false)), 'not_found', 'enable: unknown');
CREATE FUNCTION test.quota(p_bytes text, p_uploads text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', code, quota::jsonb ->> 'bytes', quota::jsonb ->> 'uploads', quota::jsonb ->> 'used', quota::jsonb ->> 'open')
    FROM media.ctl_user_quota('ANN@example.test', p_bytes, p_uploads)
$$;
SELECT is(quota(NULL, NULL), 'ok default default 100 0', 'quota: shown');
SELECT is(quota('1000', NULL), 'ok 1000 default 100 0', 'quota: bytes');
SELECT is(quota(NULL, '3'), 'ok 1000 3 100 0', 'quota: uploads, the bytes stay');
SELECT is(quota('-1', '-1'), 'ok none none 100 0', 'quota: none');
SELECT is(quota('default', 'default'), 'ok default default 100 0', 'quota: as the gateway says');
SELECT is((SELECT code FROM media.ctl_user_quota('nobody@example.test', NULL, NULL)), 'not_found', 'quota: unknown');
SELECT throws_ok($$SELECT test.quota('-2', NULL)$$, '23514', NULL, 'quota: a number that means nothing');

-- jobs: list, show
SELECT job_id(:'film', 'work') AS job \gset
SELECT results_eq('SELECT id, media_id, step, queue, state, attempt, max_attempts, worker, progress, error_code, error_detail, finished_at
    FROM media.ctl_job_list(NULL, 10)',
  format($$VALUES (%L::uuid, %L::uuid, 'work', 'short', 'queued', 0, 3, NULL::text, 0::float8, NULL::text, NULL::text, NULL::text)$$,
    :'job', :'film'), 'job list');
SELECT is((SELECT count(*)::int FROM media.ctl_job_list('queued', 10)), 1, 'job list: of a state');
SELECT is((SELECT count(*)::int FROM media.ctl_job_list('failed', 10)), 0, 'job list: of another');
SELECT is((SELECT count(*)::int FROM media.ctl_job_list(NULL, 0)), 0, 'job list: limit');
SELECT is((SELECT job::jsonb ->> 'state' FROM media.ctl_job_show(:'job')), 'queued', 'job show');
SELECT is_empty(format('SELECT * FROM media.ctl_job_show(%L)', :'unknown'), 'job show: unknown');

-- retry
CREATE FUNCTION test.retry(p_id uuid) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', code, detail) FROM media.ctl_job_retry(p_id) $$;
CREATE FUNCTION test.cancel(p_id uuid) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', code, detail) FROM media.ctl_job_cancel(p_id) $$;
SELECT is(retry(:'unknown'), 'not_found', 'retry: unknown');
SELECT is(retry(:'job'), 'conflict the job is queued', 'retry: of a queued job');
SELECT is(claim('work'), :'job', 'retry: claimed');
SELECT is(retry(:'job'), 'conflict the job is running', 'retry: of a running job');
SELECT is(fail_job(:'job'), 'failed', 'retry: failed');
DELETE FROM media.outbox;
SELECT code, outbox FROM media.ctl_job_retry(:'job') \gset
SELECT is(:'code'::text, 'ok', 'retry');
SELECT results_eq(format('SELECT state, attempt, fence, error_code, error_detail, finished_at FROM media.jobs WHERE id = %L', :'job'),
  $$VALUES ('queued', 0, 1::bigint, NULL::text, NULL::text, NULL::timestamptz)$$, 'retry: queued, attempts start anew, the fence does not');
SELECT results_eq(format('SELECT state, error_code, error_detail, finished_at FROM media.media WHERE id = %L', :'film'),
  $$VALUES ('processing', NULL::text, NULL::text, NULL::timestamptz)$$, 'retry: the media is processing again');
SELECT is((SELECT array_agg(message) FROM media.outbox), ARRAY[:'outbox'::jsonb -> 0 ->> 'message'], 'retry: announced');
SELECT is(claim('work'), :'job', 'retry: claimed');
SELECT is((job(:'film', 'work')).fence, 2::bigint, 'retry: under a new fence');
SELECT is((SELECT code FROM media.job_finish(:'job', 1, '{}')), 'lost', 'retry: the old attempt is lost');
SELECT is(finish_job(:'job'), 'ok', 'retry: done');
SELECT is(retry(:'job'), 'conflict the job is succeeded', 'retry: of a job that is done');
SELECT is(cancel(:'job'), 'conflict the job is succeeded', 'cancel: of a job that is done');
SELECT is(notices(:'film'), 'media.failed media.ready', 'retry: its owner is told of both ends');

-- retry of what others waited for
SELECT media(:'ann_id', 'line') AS film \gset
SELECT claim_job(job_id(:'film', 'x')) AS f, fail_job(job_id(:'film', 'x')) AS code, states(:'film') AS states \gset
SELECT is(:'states'::text, 'x:failed y:canceled z:canceled', 'retry: two steps were canceled');
SELECT is(retry(job_id(:'film', 'x')), 'ok', 'retry: of the first');
SELECT is(states(:'film'), 'x:queued y:waiting z:waiting', 'retry: all that were canceled because of it wait again');
SELECT is((SELECT string_agg(done(job_id(:'film', s), NULL), ' ') FROM unnest(ARRAY['x', 'y', 'z']) s), 'ok ok ok', 'retry: all done');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'retry: ready');
SELECT media(:'ann_id', 'line') AS film \gset
SELECT claim_job(job_id(:'film', 'x')) AS f, fail_job(job_id(:'film', 'x')) AS code \gset
SELECT is(retry(job_id(:'film', 'z')), 'ok', 'retry: of the last while the first has failed');
SELECT is(states(:'film'), 'x:failed y:canceled z:canceled', 'retry: it cannot run');
SELECT is(notices(:'film'), 'media.failed', 'retry: nobody is told again');
SELECT media(:'ann_id', 'chain') AS film \gset
SELECT fan(:'film', 3) AS f1, claim_job(job_id(:'film', 'b', 1)) AS f2, fail_job(job_id(:'film', 'b', 1)) AS code,
       done(job_id(:'film', 'b', 0), NULL) AS d0 \gset
SELECT is(retry(job_id(:'film', 'b', 1)), 'ok', 'retry: one of three');
SELECT is(states(:'film'), 'a:succeeded b:succeeded b:queued b:queued c:waiting', 'retry: that one and what waits for all');
SELECT is((SELECT string_agg(done(job_id(:'film', 'b', n), NULL), ' ') FROM unnest(ARRAY[1, 2]) n), 'ok ok', 'retry: done');
SELECT is(states(:'film'), 'a:succeeded b:succeeded b:succeeded b:succeeded c:queued', 'retry: the step after it is due');
SELECT media(:'ann_id', 'typo') AS film \gset
SELECT is(done(job_id(:'film', 'early'), NULL) || ' ' || retry(job_id(:'film', 'late')), 'ok ok', 'retry: of what waits for ever');
SELECT is((SELECT state || ' ' || error_code FROM media.media WHERE id = :'film'), 'failed pipeline_stuck', 'retry: it still does');
SELECT is(notices(:'film'), 'media.failed', 'retry: nobody is told again');

-- cancel
SELECT is(cancel(:'unknown'), 'not_found', 'cancel: unknown');
SELECT media(:'ann_id', 'line') AS film \gset
SELECT is(cancel(job_id(:'film', 'x')), 'ok', 'cancel: a queued job');
SELECT is(states(:'film'), 'x:canceled y:canceled z:canceled', 'cancel: what depends on it, too');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'canceled', 'cancel: the media');
SELECT is(notices(:'film'), NULL, 'cancel: nobody is told');
SELECT is(cancel(job_id(:'film', 'x')), 'conflict the job is canceled', 'cancel: twice');
SELECT is(retry(job_id(:'film', 'x')), 'ok', 'cancel: then retry');
SELECT is(states(:'film'), 'x:queued y:waiting z:waiting', 'cancel: all wait again');
SELECT is(cancel(job_id(:'film', 'z')), 'ok', 'cancel: a waiting job');
SELECT is(states(:'film'), 'x:queued y:waiting z:canceled', 'cancel: only that');
SELECT claim_job(job_id(:'film', 'x')) AS fence, job_id(:'film', 'x') AS job \gset
SELECT is((SELECT code FROM media.job_object(:'job', :'fence', 'c1')), 'ok', 'cancel: a job that writes');
SELECT is(cancel(:'job'), 'ok', 'cancel: a running job');
SELECT ok((SELECT state = 'doomed' AND retry_at > now() + interval '50s' FROM media.objects WHERE object_key = 'c1'),
  'cancel: its object goes, in a while');
SELECT everything() AS before \gset
SELECT is((SELECT code FROM media.job_heartbeat(:'job', :'fence', 60, NULL, NULL)), 'canceled', 'cancel: heartbeat is told');
SELECT is((SELECT code FROM media.job_finish(:'job', :'fence', '{}')), 'canceled', 'cancel: finish is told');
SELECT is((SELECT code FROM media.job_fail(:'job', :'fence', true, 'x', 'x')), 'canceled', 'cancel: fail is told');
SELECT is((SELECT code FROM media.job_release(:'job', :'fence')), 'canceled', 'cancel: release is told');
SELECT is((SELECT code FROM media.job_object(:'job', :'fence', 'c2')), 'canceled', 'cancel: object is told');
SELECT is(everything(), :'before'::text, 'cancel: none of it changes anything');
SELECT is(states(:'film'), 'x:canceled y:canceled z:canceled', 'cancel: of all');
-- an error of an earlier attempt does not turn what was canceled into a failure
SELECT media(:'ann_id') AS film \gset
SELECT claim_job(job_id(:'film', 'work')) AS f, fail_job(job_id(:'film', 'work'), true) AS code, cancel(job_id(:'film', 'work')) AS c \gset
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'canceled', 'cancel: of a job that had failed once');

-- media: show, rm
SELECT media(:'ann_id') AS film \gset
SELECT is((SELECT media::jsonb ->> 'id' FROM media.ctl_media_show(:'film')), :'film', 'media show');
SELECT is_empty(format('SELECT * FROM media.ctl_media_show(%L)', :'unknown'), 'media show: unknown');
SELECT is((SELECT code FROM media.ctl_media_rm(:'unknown')), 'not_found', 'media rm: unknown');
SELECT is(done(job_id(:'film', 'work')), 'ok', 'media rm: with an output');
SELECT object_key AS out_key FROM media.outputs WHERE media_id = :'film' \gset
SELECT is((SELECT code FROM media.ctl_media_rm(:'film')), 'ok', 'media rm');
SELECT is((SELECT count(*)::int FROM media.media WHERE id = :'film') + (SELECT count(*)::int FROM media.jobs WHERE media_id = :'film')
  + (SELECT count(*)::int FROM media.outputs WHERE media_id = :'film'), 0, 'media rm: all its rows');
SELECT ok((SELECT bool_and(state = 'doomed' AND retry_at <= now()) AND count(*) = 2 FROM media.objects
    WHERE object_key IN (:'out_key', 'original/' || :'film')),
  'media rm: its objects go at once');
SELECT is_empty('SELECT 1 FROM media.outbox o WHERE NOT EXISTS (SELECT FROM media.jobs j WHERE j.id = o.job_id)', 'media rm: its messages');
SELECT is((SELECT code FROM media.ctl_media_rm(:'film')), 'not_found', 'media rm: twice');
SELECT media(:'ann_id') AS film \gset
SELECT claim_job(job_id(:'film', 'work')) AS fence, job_id(:'film', 'work') AS job \gset
SELECT media.job_object(:'job', :'fence', 'rm1') \gset _
SELECT is((SELECT code FROM media.ctl_media_rm(:'film')), 'ok', 'media rm: under a worker');
SELECT count(*) FROM media.janitor_doomed(100) WHERE object_key = 'rm1' \gset early_
SELECT is(:early_count, 0, 'media rm: what the worker still writes is not deleted before it has noticed');
SELECT is((SELECT code FROM media.job_heartbeat(:'job', :'fence', 60, NULL, NULL)), 'lost', 'media rm: the worker is told');
UPDATE media.objects SET retry_at = now() WHERE object_key = 'rm1';
SELECT is((SELECT count(*)::int FROM media.janitor_doomed(100) WHERE object_key = 'rm1'), 1, 'media rm: later it is');

-- pipelines
SELECT results_eq($$SELECT name, main_steps, anonymizes FROM media.ctl_pipeline_list() WHERE name IN ('audio', 'anonymize')$$,
  $$VALUES ('anonymize', 'anonymize,assemble', true), ('audio', 'audio', false)$$, 'pipeline list');
SELECT is((SELECT steps FROM media.ctl_pipeline_list() WHERE name = 'line'), 'x,y,z', 'pipeline list: its steps in order');
SELECT results_eq($$SELECT step, queue, depends_on, fan_out, params::jsonb, params_schema::jsonb FROM media.ctl_pipeline_show('chain')$$,
  $$VALUES ('a', 'short', '', false, '{}'::jsonb, '{"n": {"type": "integer", "min": 1, "max": 100}}'::jsonb),
           ('b', 'long', 'a', true, '{}', '{"n": {"type": "integer", "min": 1, "max": 50}}'), ('c', 'short', 'b', false, '{}', '{}')$$, 'pipeline show');
SELECT is_empty($$SELECT * FROM media.ctl_pipeline_show('nothing')$$, 'pipeline show: unknown');
SELECT is((SELECT holds FROM media.ctl_pipeline_params('video') WHERE param = 'crf'), '23', 'pipeline params: the schema tells what holds');
CREATE FUNCTION test.set(p_params jsonb, p_pipeline text DEFAULT 'one', p_step text DEFAULT 'work') RETURNS text LANGUAGE sql AS
  'SELECT concat_ws('' '', code, detail, params) FROM media.ctl_pipeline_set(p_pipeline, p_step, p_params)';
SELECT is(set('{"n": 5, "e": "p"}'), 'ok {"e": "p", "n": 5, "kept": true}', 'pipeline set: what is given replaces, the rest stays');
SELECT is(set('{"n": null}'), 'ok {"e": "p", "kept": true}', 'pipeline set: null takes one away');
SELECT is(set('{}'), 'ok {"e": "p", "kept": true}', 'pipeline set: nothing');
SELECT is(set('{"n": 11, "b": true}'), 'params_invalid params.n: 11 is outside 1..10 {"e": "p", "kept": true}', 'pipeline set: all or nothing');
SELECT is(set('{"m": null}'), 'params_invalid params.m: unknown to pipeline one, step work {"e": "p", "kept": true}', 'pipeline set: unknown');
SELECT is(set('[1]'), 'params_invalid params must be a JSON object {"e": "p", "kept": true}', 'pipeline set: no object');
SELECT is(set(NULL), 'params_invalid params must be a JSON object {"e": "p", "kept": true}', 'pipeline set: nothing at all');
SELECT is(set('{}', 'one', 'play'), 'not_found', 'pipeline set: no such step');
SELECT is(set('{}', 'two'), 'not_found', 'pipeline set: no such pipeline');
SELECT media(:'ann_id') AS film \gset
SELECT is((job(:'film', 'work')).params, '{"e": "p", "kept": true}', 'pipeline set: holds for what comes');
SELECT is(set('{"rungs": [360, {"height": 500, "kbps": 900}], "crf": 20}', 'video', 'index'),
  'ok {"crf": 20, "rungs": [360, {"kbps": 900, "height": 500}]}', 'pipeline set: a ladder');
SELECT is((SELECT holds FROM media.ctl_pipeline_params('video') WHERE param = 'crf'), '20', 'pipeline params: a default goes first');

-- workers
SELECT is_empty('SELECT * FROM media.ctl_workers()', 'workers: none');
SELECT media.worker_seen('w1', 'media-transcoder', 'short', 60), media.worker_seen('w2', 'media-notifier', 'notify', 60),
       media.worker_seen('w3', 'media-transcoder', 'long', 60) \gset _
SELECT results_eq('SELECT name, program, queue, job FROM media.ctl_workers()',
  $$VALUES ('w3', 'media-transcoder', 'long', NULL), ('w2', 'media-notifier', 'notify', NULL), ('w1', 'media-transcoder', 'short', NULL)$$, 'workers: idle');
SELECT media.worker_seen('w3', 'media-transcoder', 'long', -1) \gset _
SELECT is((SELECT string_agg(name, ' ') FROM media.ctl_workers()), 'w2 w1', 'workers: one is silent');
SELECT id AS job FROM media.job_claim('short', 'w3', 30, '{work}') \gset
SELECT is((SELECT job || ' ' || step || ' ' || (job_since IS NOT NULL) FROM media.ctl_workers() WHERE name = 'w3'), :'job' || ' work true',
  'workers: silent, but its job has a lease');
SELECT media.worker_gone('w1') \gset _
SELECT is((SELECT string_agg(name, ' ') FROM media.ctl_workers()), 'w3 w2', 'workers: one has stopped');
UPDATE media.workers SET alive_until = now() - interval '2h' WHERE name <> 'w2';
INSERT INTO media.workers VALUES ('w4', 'p', 'short', now(), now() - interval '59min'), ('w5', 'p', 'short', now(), now() - interval '61min');
SELECT is(media.janitor_workers(), 1, 'workers: the dead are forgotten');
SELECT is((SELECT string_agg(name, ' ' ORDER BY name) FROM media.workers), 'w2 w3 w4', 'workers: nobody who works, nobody who has just gone');
SELECT * FROM finish();
