-- The life of an upload: open, S3 id, heart-beat, commit or abort, in one session.
SELECT no_plan();
SELECT person('ann') AS ann, person('bob', 1000) AS bob, person('off') AS off, media.uuid7() AS u1, media.uuid7() AS u2,
       media.uuid7() AS u3, media.uuid7() AS u4, media.uuid7() AS unknown \gset
UPDATE media.users SET disabled_at = now() WHERE id = :'off';

-- open
SELECT is(test.open(:'u1', :'ann', 100, 'one', '{"n": 2}'), 'ok', 'open');
SELECT results_eq(format('SELECT owner_id, object_key, name, reserved_bytes, request_id FROM media.uploads WHERE id = %L', :'u1'),
  format('VALUES (%L::uuid, %L, ''film.mp4'', 100::bigint, ''req-1'')', :'ann', 'original/' || :'u1'), 'the intent is there');
SELECT results_eq(format('SELECT media_id, job_id, fence, s3_upload_id, state FROM media.objects WHERE object_key = %L', 'original/' || :'u1'),
  format('VALUES (%L::uuid, NULL::uuid, NULL::bigint, NULL::text, ''pending'')', :'u1'), 'and its object, pending');
SELECT test.everything() AS before \gset
SELECT is(test.open(media.uuid7(), :'off'), 'token_invalid', 'open: disabled user');
SELECT is(test.open(media.uuid7(), :'unknown'), 'token_invalid', 'open: unknown user');
SELECT is(test.open(media.uuid7(), :'ann', 100, 'no-such'), 'pipeline_unknown', 'open: unknown pipeline');
SELECT is(test.open(media.uuid7(), :'ann', 100, 'one', '{"n": 0}'), 'params_invalid', 'open: bad params');
SELECT is(test.open(media.uuid7(), :'bob', 1001), 'quota_exceeded', 'open: more than the quota');
SELECT is(everything(), :'before'::text, 'a refused open leaves nothing');
SELECT is(detail, 'there is no pipeline "' || repeat('x', 64) || '"', 'a long name of a pipeline is cut')
  FROM test.opened(media.uuid7(), :'ann', p_pipeline => repeat('x', 5000));
SELECT is(detail, 'params.n: 0 is outside 1..10', 'the fault is told')
  FROM test.opened(media.uuid7(), :'ann', p_params => '{"n": 0}');
SELECT results_eq($$SELECT code, detail FROM media.upload_check('one', '{"n": 0}')$$,
  $$VALUES ('params_invalid', 'params.n: 0 is outside 1..10')$$, 'check: the same for a form''s fields');
SELECT results_eq($$SELECT code, detail FROM media.upload_check('no-such', NULL)$$,
  $$VALUES ('pipeline_unknown', 'there is no pipeline "no-such"')$$, 'check: unknown pipeline');
SELECT results_eq($$SELECT code, detail FROM media.upload_check('one', '{"n": 1}')$$, $$VALUES ('ok', NULL::text)$$, 'check: good');
SELECT throws_ok(format('SELECT test.open(%L, %L)', :'u1', :'ann'), '23505', NULL, 'an id opens once');

-- S3 id
SELECT is((SELECT code FROM media.upload_s3id(:'u1', 's3-1')), 'ok', 's3id');
SELECT is((SELECT s3_upload_id FROM media.objects WHERE media_id = :'u1'), 's3-1', 'it is in the row');
SELECT is((SELECT code FROM media.upload_s3id(:'unknown', 's3-1')), 'gone', 's3id: unknown upload');

-- an upload at S3 of which nobody knows
SELECT is((SELECT code FROM media.upload_doubt(:'u1')), 'ok', 'doubt');
SELECT ok((SELECT strays_at > now() FROM media.objects WHERE media_id = :'u1'), 'doubt: it is in the row');
SELECT is((SELECT code FROM media.upload_doubt(:'unknown')), 'gone', 'doubt: unknown upload');

-- heart-beat
UPDATE media.uploads SET heartbeat_at = now() - interval '1h';
SELECT results_eq(format('SELECT id FROM media.upload_heartbeat(ARRAY[%L, %L]::uuid[])', :'u1', :'unknown'),
  format('SELECT %L::uuid', :'unknown'), 'heartbeat: tells which is not open');
SELECT is((SELECT heartbeat_at > now() - interval '1min' FROM media.uploads WHERE id = :'u1'), true, 'heartbeat: was heard');
SELECT is((SELECT count(*)::int FROM media.uploads WHERE heartbeat_at > now() - interval '1min'), 1, 'heartbeat: for no other');
SELECT is_empty('SELECT id FROM media.upload_heartbeat(''{}'')', 'heartbeat: of nothing');

-- refused commits leave the upload open
SELECT test.everything() AS before \gset
SELECT is((SELECT code FROM test.close(:'u1', 'no-such')), 'pipeline_unknown', 'commit: unknown pipeline');
SELECT is((SELECT code FROM test.close(:'u1', NULL)), 'pipeline_unknown', 'commit: no pipeline');
SELECT is((SELECT code FROM test.close(:'u1', 'one', 100, '{"n": "x"}')), 'params_invalid', 'commit: bad params');
SELECT is((SELECT code FROM test.close(:'u1', 'one', 100, p_visibility => 'secret')), 'params_invalid', 'commit: bad visibility');
SELECT throws_ok(format('SELECT test.close(%L, p_name => %L)', :'u1', ''), '23514', NULL, 'commit: a name the table refuses');
SELECT throws_ok(format('SELECT test.close(%L, p_size => 101)', :'u1'), '23514', NULL, 'commit: more than was reserved');
SELECT results_eq(format('SELECT code, media, outbox FROM test.close(%L)', :'unknown'), $$VALUES ('gone', NULL::text, '[]')$$,
  'commit: unknown upload');
SELECT is(everything(), :'before'::text, 'a refused commit changes nothing');

-- commit
DELETE FROM media.outbox;
SELECT code, detail, media, outbox FROM test.close(:'u1', 'one', 90, '{"n": 3, "b": true}', p_visibility => 'public') \gset
SELECT is(:'code'::text, 'ok', 'commit');
SELECT is((SELECT count(*)::int FROM media.uploads WHERE id = :'u1'), 0, 'commit: the intent is closed');
SELECT results_eq(format('SELECT owner_id, name, title, content_type, size_bytes, sha256, etag, object_key, visibility, pipeline, params,
    state, request_id, traceparent FROM media.media WHERE id = %L', :'u1'),
  format($$VALUES (%L::uuid, 'film.mp4', 'A film', 'video/mp4', 90::bigint, %L, '"etag"', %L, 'public', 'one', '{"n": 3, "b": true}'::jsonb,
    'processing', 'req-1', '00-trace')$$, :'ann', repeat('ab', 32), 'original/' || :'u1'), 'commit: the media');
SELECT results_eq(format('SELECT state, s3_upload_id FROM media.objects WHERE media_id = %L', :'u1'),
  $$VALUES ('live', NULL::text)$$, 'commit: its object lives');
SELECT results_eq(format('SELECT owner_id, step, ordinal, queue, state, attempt, max_attempts, fence, params
    FROM media.jobs WHERE media_id = %L', :'u1'),
  format($$VALUES (%L::uuid, 'work', 0, 'short', 'queued', 0, 3, 0::bigint, '{"n": 3, "b": true, "kept": true}'::jsonb)$$, :'ann'),
    'commit: its job');
SELECT results_eq($$SELECT jsonb_build_array(jsonb_build_object('id', id::text, 'queue', queue, 'message', message)), job_id, message
    FROM media.outbox$$,
  format('SELECT %L::jsonb, id, media.job_message(id, ''req-1'', ''00-trace'') FROM media.jobs WHERE media_id = %L', :'outbox', :'u1'),
  'commit: its message, in the outbox and in the answer');
SELECT test.everything() AS before \gset
SELECT results_eq(format('SELECT * FROM test.close(%L, ''one'', 90)', :'u1'),
  format('SELECT %L, NULL::text, %L, %L', 'ok', :'media', :'outbox'), 'commit again: the same answer');
SELECT is(everything(), :'before'::text, 'commit again: nothing is made twice');
SELECT media.outbox_sent(array_agg(id) || 999999::bigint) FROM media.outbox \gset _
SELECT is((SELECT count(*)::int FROM media.outbox), 0, 'outbox_sent');
SELECT is((SELECT outbox FROM test.close(:'u1')), '[]', 'commit again: what was sent is not sent again');
SELECT is((SELECT code FROM media.upload_abort(:'u1', true, 'original/' || :'u1')), 'gone', 'abort after the commit');
SELECT is(object_state('original/' || :'u1'), 'live', 'takes nothing away');
SELECT is((SELECT code FROM media.upload_s3id(:'u1', 'late')), 'gone', 's3id after the commit');

-- pipelines of several steps and of none
SELECT is(states(media(:'ann', 'chain')), 'a:queued c:waiting', 'commit: a fan-out step has no job yet');
SELECT media(:'ann', 'none') AS none \gset
SELECT is((SELECT state FROM media.media WHERE id = :'none'), 'ready', 'commit: nothing to do is done');
SELECT is(notices(:'none'), 'media.ready', 'and told');

-- abort
SELECT is(test.open(:'u4', :'ann'), 'ok', 'abort: open');
SELECT is((SELECT code FROM media.upload_abort(:'u4', true, 'original/' || :'u4')), 'ok', 'abort: clean');
SELECT is((SELECT count(*)::int FROM media.uploads WHERE id = :'u4') + (SELECT count(*)::int FROM media.objects WHERE media_id = :'u4'),
  0, 'abort: leaves nothing');
SELECT is((SELECT code FROM media.upload_abort(:'u4', true, 'original/' || :'u4')), 'gone', 'abort: twice');
SELECT is((SELECT code FROM test.close(:'u4')), 'gone', 'commit after the abort');
SELECT is(test.open(:'u4', :'ann'), 'ok', 'abort: open');
SELECT is((SELECT code FROM media.upload_s3id(:'u4', 's3-4')), 'ok', 'abort: with parts in S3');
SELECT is((SELECT code FROM media.upload_abort(:'u4', false, 'original/' || :'u4')), 'ok', 'abort: unclean');
SELECT results_eq(format('SELECT state, s3_upload_id, look_again, retry_at BETWEEN now() + interval ''1s'' AND now() + interval ''10s''
  FROM media.objects WHERE media_id = %L', :'u4'),
  $$VALUES ('doomed', 's3-4', true, true)$$, 'abort: the janitor gets the object, once S3 has had time to finish');

-- the janitor gives up
SELECT media.uuid7() AS stale, media.uuid7() AS fresh \gset
SELECT is(test.open(id, :'ann'), 'ok', 'janitor: open') FROM unnest(ARRAY[:'stale', :'fresh']::uuid[]) id;
UPDATE media.uploads SET heartbeat_at = now();
UPDATE media.uploads SET heartbeat_at = now() - interval '121s' WHERE id = :'stale';
SELECT is(media.janitor_uploads(120), 1::bigint, 'janitor: one has been silent for long');
SELECT is(media.janitor_uploads(120), 0::bigint, 'janitor: once');
SELECT results_eq(format('SELECT state, look_again, retry_at BETWEEN now() + interval ''50s'' AND now() + interval ''60s''
  FROM media.objects WHERE media_id = %L', :'stale'),
  $$VALUES ('doomed', true, true)$$, 'janitor: its object goes, once S3 has had time to finish');
SELECT is(object_state('original/' || :'fresh'), 'pending', 'janitor: no other');
SELECT is((SELECT code FROM test.close(:'stale')), 'gone', 'commit after the janitor');
SELECT is((SELECT code FROM media.upload_s3id(:'stale', 'x')), 'gone', 's3id after the janitor');
SELECT is((SELECT code FROM media.upload_abort(:'stale', true, 'original/' || :'stale')), 'gone', 'abort after the janitor');
SELECT is(object_state('original/' || :'stale'), 'doomed', 'the object still goes');
SELECT media.janitor_object_gone('original/' || :'stale') \g /dev/null
SELECT results_eq(format('SELECT state, look_again, s3_upload_id, retry_at BETWEEN now() + interval ''9min'' AND now() + interval ''10min''
  FROM media.objects WHERE media_id = %L', :'stale'),
  $$VALUES ('doomed', false, NULL::text, true)$$, 'it has gone, but is looked for again: S3 may finish late');
SELECT media.janitor_object_gone('original/' || :'stale') \g /dev/null
SELECT is(object_state('original/' || :'stale'), NULL, 'gone twice is gone');
SELECT is((SELECT code FROM media.upload_abort(:'stale', false, 'original/' || :'stale')), 'gone', 'a thawed gateway aborts');
SELECT is(object_state('original/' || :'stale'), 'doomed', 'what it may have written meanwhile goes, too');
SELECT is((SELECT code FROM media.upload_abort(:'u1', false, 'original/' || :'u1')), 'gone', 'abort of a committed upload');
SELECT is(object_state('original/' || :'u1'), 'live', 'its object stays');
SELECT is((SELECT code FROM media.upload_abort(:'unknown', false, 'original/' || :'u1')), 'gone', 'abort with the key of another');
SELECT is(object_state('original/' || :'u1'), 'live', 'that object stays, too');
SELECT results_eq(format('SELECT id FROM media.upload_heartbeat(ARRAY[%L, %L]::uuid[])', :'stale', :'fresh'),
  format('SELECT %L::uuid', :'stale'), 'heartbeat after the janitor');
SELECT is((SELECT count(*)::int FROM media.media WHERE id = :'stale'), 0, 'there is no such media');

-- a heart-beat may get lost in a crash of the database; an intent may not, its object would be nobody's
BEGIN;
SELECT is(test.open(media.uuid7(), :'ann'), 'ok', 'durability: open');
SELECT is(current_setting('synchronous_commit'), 'on', 'durability: waits for the disk');
ROLLBACK;
BEGIN;
SELECT is_empty(format('SELECT id FROM media.upload_heartbeat(ARRAY[%L]::uuid[])', :'fresh'), 'durability: heartbeat');
SELECT is(current_setting('synchronous_commit'), 'off', 'durability: need not wait for the disk');
ROLLBACK;
BEGIN;
SELECT is((SELECT code FROM test.close(:'fresh')), 'ok', 'durability: commit');
SELECT is(current_setting('synchronous_commit'), 'on', 'durability: waits for the disk');
COMMIT;
SELECT * FROM finish();
