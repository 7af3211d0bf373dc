-- Anonymized media: who gets what of them while they are masked, masked, withdrawn and gone; what jobs are handed.
SELECT no_plan();
\ir lib/masks.sql
SELECT sessions(2) \gset _
SELECT person('ann') AS ann, person('bob') AS bob, person('op') AS op, person('exop') AS exop \gset
UPDATE media.users SET roles = '{user,operator}' WHERE id IN (:'op', :'exop');
UPDATE media.users SET disabled_at = now() WHERE id = :'exop';

-- while it is masked for the first time
SELECT media.uuid7() AS film \gset
SELECT opened(:'film', :'ann', 100, 'anonymize') \gset _
SELECT is((SELECT all_versions FROM media.objects WHERE media_id = :'film'), true, 'open: should the upload break off, no version of it stays');
SELECT media::jsonb AS said FROM close(:'film', 'anonymize', p_name => 'Ann Smith at home.jpg', p_visibility => 'public') \gset
SELECT is(:'said'::jsonb ->> 'name', 'anonymized', 'commit: answers without the name');
SELECT results_eq(format('SELECT anonymized, withdrawn, mask_params FROM media.media WHERE id = %L', :'film'), $$VALUES (true, true, '{}'::jsonb)$$,
  'commit: anonymized, withdrawn');
SELECT is((SELECT jsonb_agg(i ->> 'name') FROM media.media_list(:'ann', 9, NULL, NULL, NULL, 'smith', NULL), jsonb_path_query(page::jsonb, '$.items[*]') i),
  '["anonymized"]', 'list: its owner finds it by the name that is not told');
SELECT is(states(:'film'), 'anonymize:queued', 'an image is one job');
SELECT is(seen(:'film', :'ann'), 'anonymized video/mp4 100 no outputs', 'its owner knows what was sent');
SELECT is(seen(:'film', :'bob'), 'anonymized - - no outputs', 'others do not');
SELECT is(seen(:'film', :'op'), 'Ann Smith at home.jpg video/mp4 100 no outputs', 'an operator sees all');
SELECT is(seen(:'film', :'exop'), 'anonymized - - no outputs', 'a disabled one does not');
CREATE FUNCTION test.shut(p_id uuid, p_when text, p_masked text DEFAULT 'not_found') RETURNS SETOF text LANGUAGE sql AS $$
  SELECT is(codes(p_id, 'original'), 'ann:insufficient_scope bob:not_found nobody:token_missing token:not_found op:ok exop:not_found',
  p_when || ': the original')
  UNION ALL SELECT is(codes(p_id, o), format('ann:%1$s bob:%1$s nobody:%2$s token:%1$s op:%1$s exop:%1$s', p_masked, p_masked), p_when || ': ' || o)
    FROM unnest('{masked.jpg,report.json}'::text[]) o
$$;
SELECT shut(:'film', 'at first');
SELECT is(codes(:'film', ''), 'ann:not_ready bob:not_ready nobody:not_ready token:not_ready op:not_ready exop:not_ready', 'main output');
SELECT is(said(media.media_run(:'ann', :'film', 'one', NULL)), 'anonymized there is no masked copy to start from', 'run: another pipeline');
SELECT is(said(media.media_run(:'ann', :'film', 'anonymize', NULL)), 'conflict pipeline anonymize is still at work: cancel it first', 'run: the same');
SELECT is(said(media.media_regions(:'ann', :'film', '{"keep": [1]}')), 'conflict pipeline anonymize is still at work: cancel it first', 'regions');

-- its job fails, with words of the original
SELECT claim_job(job_id(:'film', 'anonymize')) AS fence, job_id(:'film', 'anonymize') AS job \gset
SELECT is((SELECT string_agg(code, ' ') FROM media.job_fail(:'job', :fence, false, c, 'Ann Smith, 12 Mill Lane')), 'failed', 'the job fails')
  FROM (VALUES ('unreadable_media')) t (c);
SELECT is(media::jsonb -> 'error', '{"code": "unreadable_media", "detail": "The file cannot be read."}', 'failed: in our own words')
  FROM media.media_get(:'ann', :'film');
SELECT is(media::jsonb #> '{jobs,0,error,detail}', '"The file cannot be read."', 'failed: the job, too') FROM media.media_get(:'ann', :'film');
SELECT is((SELECT params FROM media.jobs WHERE media_id = :'film' AND step = 'notify')::text ~ 'Smith|Mill', false, 'failed: and the mail');
SELECT matches((SELECT params ->> 'name' FROM media.jobs WHERE media_id = :'film' AND step = 'notify'), '^anonymized$', 'failed: which is about anonymized');
SELECT is((SELECT detail FROM media.media_object(:'ann', :'film', '')), 'The file cannot be read.', 'failed: and the download');
SELECT is((SELECT job::jsonb ->> 'error_detail' FROM media.ctl_job_show(:'job')), 'Ann Smith, 12 Mill Lane', 'failed: an operator reads the cause');
SELECT shut(:'film', 'failed');
SELECT is(said(media.media_run(:'ann', :'film', 'one', NULL)), 'anonymized there is no masked copy to start from', 'failed: no other pipeline');
SELECT is(said(media.media_regions(:'ann', :'film', '{"keep": [1]}')), 'conflict there is no masked copy to change: run a pipeline that makes one first',
  'failed: no regions');
UPDATE media.jobs SET error_code = 'worker_lost', error_detail = 'the worker w1 stopped' WHERE id = :'job';
SELECT is((SELECT media::jsonb #>> '{jobs,0,error,detail}' FROM media.media_get(:'ann', :'film')), 'the worker w1 stopped', 'details of ours are told');
SELECT is(said(media.media_retry(:'ann', :'film')), 'ok', 'retry');

-- its job succeeds
SELECT claim_job(job_id(:'film', 'anonymize')) \gset _
SELECT is((SELECT concat_ws(' ', code, object_key, size, name, content_type) FROM media.job_input(:'job')),
  format('ok original/%s 100 anonymized video/mp4', :'film'), 'the job has the original, without its name');
SELECT masked(:'job', 'masked.jpg', '{"probe": {"from": "masked"}}') AS key \gset
SELECT is((SELECT state || ' ' || withdrawn || ' ' || probe FROM media.media WHERE id = :'film'), 'ready false {"from": "masked"}', 'ready');
SELECT is(seen(:'film', :'ann'), 'anonymized.jpg video/mp4 100 masked.jpg report.json', 'ready: the owner');
SELECT is(seen(:'film', :'bob'), 'anonymized.jpg image/jpeg 7 masked.jpg report.json', 'ready: others see the masked copy');
SELECT is(media::jsonb - ARRAY['id', 'created_at', 'finished_at', 'owner', 'title', 'visibility', 'pipeline', 'state', 'progress', 'outputs',
    'jobs', 'params', 'name', 'content_type', 'size', 'error', 'probe'],
  jsonb_build_object('digest', jsonb_build_object('sha-256', repeat('cd', 32)), 'anonymized', true), 'ready: and nothing else') FROM media.media_get(NULL,
  :'film');
SELECT shut(:'film', 'ready', 'ok');
SELECT is(codes(:'film', ''), 'ann:ok bob:ok nobody:ok token:ok op:ok exop:ok', 'ready: main output');
SELECT is((SELECT output || ' ' || name || ' ' || (public IS NULL) FROM media.media_object(NULL, :'film', '')), 'masked.jpg anonymized.jpg true',
  'ready: is the masked copy; no cache may have it without asking, though the media are public');
SELECT is((SELECT object_key || ' ' || name FROM media.media_object(:'op', :'film', 'original')), format('original/%s Ann Smith at home.jpg', :'film'),
  'ready: what an operator gets');
UPDATE media.media SET visibility = 'private' WHERE id = :'film';
SELECT is((SELECT code FROM media.media_object(:'op', :'film', o)), w, 'private: an operator asks for ' || o) FROM (VALUES ('original', 'ok'), ('masked.jpg',
  'not_found')) t (o, w);
SELECT is((SELECT params ->> 'name' FROM media.jobs WHERE media_id = :'film' AND step = 'notify' AND params ->> 'event' = 'media.ready'), 'anonymized.jpg',
  'ready: the mail');
SELECT is(jsonb_path_query_first(page::jsonb, '$.items[0].outputs[*] ? (@.name == "masked.jpg").href') #>> '{}', format('/media/%s/masked.jpg', :'film'),
  'list: of what has been processed, with links') FROM media.media_list(:'ann', 9, NULL, NULL, 'anonymize', NULL, NULL);
SELECT is((SELECT string_agg(DISTINCT all_versions::text, ' ') FROM media.objects WHERE media_id = :'film'), 'true', 'no version of anything of it is to stay');

-- other pipelines start from the masked copy
SELECT is(said(media.media_run(:'ann', :'film', 'one', NULL)), 'ok', 'run: another pipeline');
SELECT is(seen(:'film', :'ann'), 'anonymized.jpg video/mp4 100 masked.jpg report.json', 'run: what there is stays');
SELECT is((SELECT concat_ws(' ', code, object_key, size, name, content_type) FROM media.job_input(job_id(:'film', 'work'))),
  format('ok %s 7 anonymized.jpg image/jpeg', :'key'), 'run: its job has the masked copy');
SELECT is((SELECT object_key || ' ' || size || ' ' || name || ' ' || content_type FROM media.job_claim('short', 'w', 30, '{work}')),
  format('%s 7 anonymized.jpg image/jpeg', :'key'), 'run: when it is claimed');
SELECT is(finish_job(job_id(:'film', 'work'), '{"probe": {"from": "work"}}'), 'ok', 'run: done');
SELECT is((SELECT probe ->> 'from' FROM media.media WHERE id = :'film'), 'work', 'run: a probe of the masked copy');
UPDATE media.pipeline_steps SET input = 'original' WHERE pipeline = 'one';
SELECT is(said(media.media_run(:'ann', :'film', 'one', NULL)), 'ok', 'a step that asks for the original, of a pipeline that does not anonymize');
SELECT is((SELECT object_key FROM media.job_input(of_run(:'film', 'work', 3))), :'key', 'has the masked copy');
SELECT is(done(of_run(:'film', 'work', 3), NULL), 'ok', 'done');
UPDATE media.pipeline_steps SET input = 'media' WHERE pipeline = 'one';

-- again: withdrawn from the start; a job without an input fails, the media's others go on
SELECT id AS old FROM media.jobs WHERE media_id = :'film' AND run = 3 AND step = 'work' \gset
SELECT is(said(media.media_run(:'ann', :'film', 'anonymize', '{"grow": 0.5}')), 'ok', 'again');
SELECT is((SELECT withdrawn::text || (probe IS NULL) || mask_params FROM media.media WHERE id = :'film'), 'truetrue{"grow": 0.5}', 'again: withdrawn');
UPDATE media.media SET visibility = 'public' WHERE id = :'film';
SELECT shut(:'film', 'again');
SELECT is(seen(:'film', :'bob'), 'anonymized - - no outputs', 'again: nothing is listed');
SELECT of_run(:'film', 'anonymize', 4) AS again \gset
SELECT is(done(:'again', NULL), 'ok', 'again: done, without a masked copy');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'again: ready');
SELECT shut(:'film', 'again: of the earlier run nothing');
SELECT is((SELECT state FROM media.objects WHERE object_key = :'key'), 'doomed', 'again: its masked copy goes');
SELECT is(said(media.media_run(:'ann', :'film', 'one', NULL)), 'anonymized there is no masked copy to start from', 'again: so nothing can be made');
SELECT is((SELECT string_agg(DISTINCT run::text, ' ') FROM media.jobs WHERE media_id = :'film' AND step <> 'notify'), '4',
  'again: runs of other pipelines have ended, too');

-- refused where it would be handed out
SELECT media(:'ann', 'anonymize') AS a, media(:'ann', 'one') AS plain \gset
SELECT masked(job_id(:'a', 'anonymize')) \gset _
SELECT is(said(media.media_run(:'ann', :'a', 'one', NULL)), 'ok', 'refused: a job waits');
DELETE FROM media.outputs WHERE media_id = :'a';
UPDATE media.jobs SET priority = 9 WHERE id = job_id(:'a', 'work');
SELECT tell('s1', format('BEGIN; DO $do$ BEGIN PERFORM FROM media.media WHERE id = %L FOR UPDATE; END $do$', :'a')) \gset _
SELECT is((SELECT media_id FROM media.job_claim('short', 'w', 30, '{work}')), :'plain', 'refused: while somebody has its media the next one is handed out');
SELECT is((SELECT state || ' ' || (not_before > now()) FROM media.jobs WHERE id = job_id(:'a', 'work')), 'queued true', 'refused: and it waits');
SELECT tell('s1', 'ROLLBACK') \gset _
UPDATE media.jobs SET not_before = now() WHERE id = job_id(:'a', 'work');
SELECT is_empty($$SELECT FROM media.job_claim('short', 'w', 30, '{work}')$$, 'refused: there is no job to be had');
SELECT is((SELECT concat_ws(' ', j.state, j.error_code, j.error_detail, m.state, m.error_code) FROM media.jobs j JOIN media.media m ON m.id = j.media_id
  WHERE j.id = job_id(:'a', 'work')),
  'failed anonymized there is no masked copy to start from failed anonymized', 'refused: it has failed, and its media');
SELECT is((SELECT message::jsonb #>> '{error,code}' FROM media.outbox WHERE queue = 'dead' AND job_id = job_id(:'a', 'work')), 'anonymized',
  'refused: with a dead letter');

-- media that were not anonymized before
SELECT media(:'ann', 'one') AS late \gset
SELECT done(job_id(:'late', 'work')) \gset _
SELECT is(said(media.media_run(:'ann', :'late', 'line', NULL)), 'ok', 'late: made something of');
SELECT done(job_id(:'late', 'x'), 'x.mp3'), done(job_id(:'late', 'y'), NULL), done(job_id(:'late', 'z'), NULL) \gset _
SELECT token_epoch, object_key AS original FROM media.media WHERE id = :'late' \gset
UPDATE media.media SET probe = '{"title": "Ann"}' WHERE id = :'late';
SELECT is((SELECT string_agg(state || all_versions, ' ') FROM media.objects WHERE media_id = :'late'), 'livefalse livefalse livefalse', 'late: objects');
SELECT is(said(media.media_run(:'ann', :'late', 'anonymize', NULL)), 'ok', 'late: anonymize');
SELECT is((SELECT concat_ws(' ', anonymized, withdrawn, token_epoch, probe IS NULL, name) FROM media.media WHERE id = :'late'),
  format('t t %s t film.mp4', :token_epoch + 1), 'late: tokens end, the probe goes');
SELECT is((SELECT count(*)::int FROM media.outputs WHERE media_id = :'late'), 0, 'late: what was made of the original is gone');
SELECT is((SELECT string_agg(state || all_versions, ' ' ORDER BY object_key = :'original' DESC) FROM media.objects WHERE media_id = :'late'),
  'livetrue doomedtrue doomedtrue', 'late: in all versions');
SELECT is((SELECT string_agg(DISTINCT run::text, ' ') FROM media.jobs WHERE media_id = :'late'), '3', 'late: and so are jobs and mails');
SELECT throws_ok(format('UPDATE media.media SET anonymized = false WHERE id = %L', :'late'), '23514', NULL, 'anonymized is for ever');

-- a video: steps made by the first; what the ladder is made of
SELECT media(:'ann', 'anonymize_video') AS video \gset
SELECT is(states(:'video'), 'anonymize:queued index:waiting package:waiting package_first:waiting', 'video: at first');
SELECT claim_job(job_id(:'video', 'anonymize')) \gset _
SELECT is(finish_job(job_id(:'video', 'anonymize'), '{"probe": {"title": "Ann"}, "fan_out": [{"step": "detect", "range": [0]}, {"step": "detect", "range": [1]},
  {"step": "voice", "range": [2]}, {"step": "associate", "range": [3]}, {"step": "assemble", "range": [4]}]}'), 'ok', 'video: index');
SELECT is((SELECT probe FROM media.media WHERE id = :'video') IS NULL AND NOT (job(:'video', 'anonymize')).result ? 'probe', true,
  'video: the probe of the original is not kept');
SELECT is(states(:'video'), concat('anonymize:succeeded assemble:waiting associate:waiting detect:queued detect:queued ',
  'index:waiting package:waiting package_first:waiting voice:queued'), 'video: then');
SELECT is((SELECT string_agg(DISTINCT input, ' ') FROM media.jobs WHERE media_id = :'video' AND step = s), i, s || ' reads') FROM (VALUES
  ('anonymize', 'original'), ('detect', 'original'), ('voice', 'original'), ('associate', 'none'), ('assemble', 'none'), ('index', 'media')) t (s, i);
SELECT detected(:'video', n) FROM generate_series(0, 1) n \g /dev/null
SELECT is((SELECT concat_ws(' ', code, object_key, size, name, content_type) FROM media.job_input(job_id(:'video', 'associate'))), 'ok 0 anonymized',
  'associate has no input');
SELECT claim_job(job_id(:'video', 'associate')) AS fence \gset
SELECT is(detections::jsonb, jsonb_build_array(jsonb_build_array(job_id(:'video', 'detect', 0) || '/d', 3), jsonb_build_array(job_id(:'video', 'detect',
  1) || '/d', 3)),
  'but what detect has kept') FROM media.job_detections(job_id(:'video', 'associate'), :fence);
SELECT results_eq(format('SELECT code, detections FROM media.job_detections(%L, %s)', job_id(:'video', 'associate'), :fence - 1), $$VALUES ('lost',
  NULL::text)$$, 'under its fence only');
SELECT is(finish_job(job_id(:'video', 'associate'), '{"tracks": [{"name": "masked", "segments": 2, "info": {"kind": "video", "height": 500}}],
  "fan_out": [{"step": "render", "range": [0]}, {"step": "render", "range": [1]}]}'), 'ok', 'video: associated');
SELECT is((job(:'video', 'assemble')).state || (job(:'video', 'index')).state, 'waitingwaiting', 'video: rendered first');
SELECT rendered(job_id(:'video', 'render', 0), '{0,1}'), rendered(job_id(:'video', 'render', 1), '{2}') \gset _
SELECT voiced(job_id(:'video', 'voice'), 2) \gset _
SELECT is((SELECT code FROM media.media_object(:'ann', :'video', 'cmaf/1/masked/1.m4s')), 'not_found', 'video: no piece is served');
SELECT claim_job(job_id(:'video', 'assemble')) AS fence \gset
SELECT is((SELECT jsonb_path_query_array(ladder::jsonb, '$.tracks[*].name')::text || jsonb_path_query_array(ladder::jsonb, '$.tracks[*].segments.size()')
             FROM media.job_ladder(job_id(:'video', 'assemble'), :fence)), '["masked", "masked_sound"][3, 3]', 'assemble has the pieces');
SELECT masked(job_id(:'video', 'assemble'), 'masked.mp4') AS copy \gset
SELECT is((job(:'video', 'index')).state, 'queued', 'video: the ladder begins');
UPDATE media.media SET visibility = 'public' WHERE id = :'video';
SELECT shut(:'video', 'video: masked, not ready');
SELECT is((SELECT object_key || ' ' || name FROM media.job_input(job_id(:'video', 'index'))), :'copy' || ' anonymized.mp4',
  'from the masked copy that is kept back');
SELECT claim_job(job_id(:'video', 'index')) \gset _
SELECT is(finish_job(job_id(:'video', 'index'), '{"probe": {"of": "copy"},
  "tracks": [{"name": "360p", "segments": 1, "info": {"kind": "video", "height": 360}}],
  "fan_out": [{"step": "encode", "range": [0]}]}'), 'ok', 'video: its index');
SELECT done(job_id(:'video', 'package_first'), NULL) \gset _
SELECT rendered(job_id(:'video', 'encode'), '{0,1}', '360p') \gset _
SELECT is((SELECT jsonb_path_query_array(media.run_set(:'video', 1), '$.tracks[*].name')), '["360p"]', 'the pieces are no renditions');
SELECT is((job(:'video', 'encode')).params ? 'keep_original_days', false, 'the ladder''s params are its own');
SELECT is(done(job_id(:'video', 'package'), 'hls/master.m3u8'), 'ok', 'video: its playlists');
SELECT is((SELECT state || ' ' || probe FROM media.media WHERE id = :'video'), 'ready {"of": "copy"}', 'video: ready, with the probe of the copy');
SELECT is((SELECT code FROM media.media_object(:'ann', :'video', o)), c, 'video: ' || o) FROM (VALUES ('cmaf/1/360p/1.m4s', 'ok'), ('hls/master.m3u8', 'ok'),
  ('masked.mp4', 'ok'), ('cmaf/1/masked/1.m4s', 'not_found'), ('original', 'insufficient_scope')) t (o, c);
SELECT is((SELECT output FROM media.media_object(:'ann', :'video', '')), 'hls/master.m3u8', 'video: the download is the ladder');
SELECT is((SELECT code FROM media.media_run(:'ann', :'video', 'mp4', NULL)), 'ok', 'video: files of the ladder');
SELECT claim_job(job_id(:'video', 'mp4')) AS fence \gset
SELECT is((SELECT jsonb_path_query_array(ladder::jsonb, '$.tracks[*].name') FROM media.job_ladder(job_id(:'video', 'mp4'), :fence)), '["360p"]',
  'video: not of the pieces');

-- params
SELECT is((SELECT detail FROM media.upload_check('anonymize', p)), d, coalesce(d, 'good params')) FROM (VALUES
  ('{"classes": ["face", "plate"], "threshold": {"face": 0.5}, "color": "#00fF00", "regions": [{"box": [0, 0, 0.5, 1], "mode": "never"}],
    "keep_original_days": 0}'::jsonb, NULL),
  ('{"threshold": {"face": 0.2, "plate": 1}}', NULL), ('{"threshold": {"plate": 0.1}}', 'params.threshold.plate: 0.1 is outside 0.2..1'),
  ('{"color": "red"}', 'params.color: "red" is not like #rrggbb'), ('{"color": 7}', 'params.color: must be a text'),
  ('{"classes": ["face", "face"]}', 'params.classes[1]: class "face" occurs twice'), ('{"keep_original_days": 3651}',
  'params.keep_original_days: 3651 is outside 0..3650'),
  ('{"edit": {}}', 'params.edit: unknown to pipeline anonymize')) t (p, d);

-- the end of the original
SELECT is((SELECT round(extract(epoch FROM original_due_at - now()) / 86400) FROM media.media WHERE id = :'video'), 30::numeric, 'due in 30 days');
SELECT is(media.janitor_originals(10), 0::bigint, 'due: nothing yet');
UPDATE media.media SET original_due_at = now() - interval '1s' WHERE id IN (:'video', :'a');
UPDATE media.media SET state = 'processing' WHERE id = :'a';
UPDATE media.media SET pipeline = 'anonymize' WHERE id = :'a';
SELECT is(media.janitor_originals(10), 1::bigint, 'due: one, but for one that is just being masked');
SELECT is((SELECT state || all_versions FROM media.objects WHERE object_key = 'original/' || :'video'), 'doomedtrue', 'due: it goes in all versions');
SELECT is((SELECT all_versions FROM media.janitor_doomed(100) WHERE object_key = 'original/' || :'video'), true, 'due: the janitor hears of it');
SELECT is((SELECT code FROM media.media_object(:'op', :'video', 'original')), 'not_found', 'gone: for an operator, too');
SELECT is((SELECT code FROM media.media_object(:'ann', :'video', 'masked.mp4')), 'ok', 'gone: the masked copy stays');
SELECT is((SELECT media::jsonb ->> 'original_gone_at' FROM media.media_get(:'ann', :'video')) IS NOT NULL, true, 'gone: its owner is told');
SELECT is(media.quota_used(:'ann'), (SELECT sum(size_bytes) FROM media.media WHERE owner_id = :'ann')::bigint, 'gone: it counts for the quota');
SELECT code FROM media.media_cancel(:'ann', :'video') \gset _
SELECT is(said(media.media_run(:'ann', :'video', 'anonymize', NULL)), 'original_gone the original has been deleted', 'gone: it cannot be masked again');
SELECT throws_ok(format('UPDATE media.media SET original_gone_at = NULL WHERE id = %L', :'video'), '23514', NULL, 'gone is for ever');
SELECT media(:'ann', 'anonymize') AS film \gset
UPDATE media.jobs SET params = params || '{"keep_original_days": 0}' WHERE media_id = :'film';
SELECT masked(job_id(:'film', 'anonymize')) \gset _
SELECT is((SELECT original_gone_at IS NOT NULL FROM media.media WHERE id = :'film'), true, '0 days: gone when the run is ready');
SELECT is((SELECT state FROM media.objects WHERE object_key = 'original/' || :'film'), 'doomed', '0 days: its object');
SELECT media(:'ann', 'anonymize') AS film \gset
UPDATE media.media SET original_due_at = now() - interval '1s', state = 'failed' WHERE id = :'film';
SELECT claim_job(job_id(:'film', 'anonymize')) \gset _
SELECT fail_job(job_id(:'film', 'anonymize')) \gset _
SELECT is(media.janitor_originals(10), 1::bigint, 'due: of a run that failed');
SELECT is(said(media.media_retry(:'ann', :'film')), 'original_gone the original has been deleted', 'gone: nothing to try again');
UPDATE media.jobs SET state = 'queued', priority = 99, not_before = now() WHERE id = job_id(:'film', 'anonymize');
SELECT isnt((SELECT media_id FROM media.job_claim('mask', 'w', 30, '{anonymize}')), :'film', 'gone: nor would a job be handed out');
SELECT is((job(:'film', 'anonymize')).error_code, 'original_gone', 'gone: it fails');
SELECT is((SELECT code FROM media.media_delete(:'ann', :'film')), 'ok', 'deleted');
SELECT is((SELECT string_agg(state || all_versions, ' ') FROM media.objects WHERE media_id = :'film'), 'doomedtrue', 'deleted: in all versions');
SELECT * FROM finish();
