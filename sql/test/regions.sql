-- PATCH of regions: what may be asked, when; which jobs an edit has, what it takes over, what is served meanwhile.
SELECT no_plan();
\ir lib/masks.sql
SELECT person('ann') AS ann, person('bob') AS bob, person('op') AS op, person('exop') AS exop \gset
CREATE FUNCTION test.edit(p_id uuid, p_edit jsonb, p_owner text DEFAULT 'ann') RETURNS text LANGUAGE sql AS $$
  SELECT said(media.media_regions(who(p_owner), p_id, p_edit))
$$;
CREATE FUNCTION test.jobs_of(p_id uuid, p_run int) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(step || ':' || state || ':' || input, ' ' ORDER BY step, ordinal) FROM media.jobs WHERE media_id = p_id AND run = p_run AND step <> 'notify'
$$;
\set box '{"box": [0.1, 0.2, 0.3, 0.4]}'

-- what may be asked
SELECT media(:'ann', 'anonymize') AS film, media(:'ann') AS plain \gset
SELECT masked(job_id(:'film', 'anonymize')) AS key \gset
SELECT everything() AS before \gset
SELECT is(edit(:'film', e), w, left(e::text, 70)) FROM (VALUES
  (NULL::jsonb, 'bad_request one of add, remove, keep and mask is needed'), ('[]', 'bad_request one of add, remove, keep and mask is needed'),
  ('{}', 'bad_request one of add, remove, keep and mask is needed'), ('{"erase": [1]}', 'unknown_field erase: unknown'),
  ('{"add": {}}', 'bad_request add: must be a list'), ('{"add": [{}]}', 'bad_request add[0].box: is missing'),
  ('{"add": [{"box": [0, 0, 1, 1], "id": 3}]}', 'unknown_field add[0].id: unknown'),
  ('{"add": [{"box": [0, 0, 1]}]}', 'bad_request add[0].box: 3 entries, allowed are 4..4'),
  ('{"add": [{"box": [0, 0, 1.1, 1]}]}', 'bad_request add[0].box[2]: 1.1 is outside 0..1'),
  ('{"add": [{"box": [0, 0, 1, 0]}]}', 'bad_request add[0].box: width and height must be greater than 0'),
  ('{"add": [{"box": [0, 0, 0.1, 0.1]}, {"box": [0.5, 0, 0.6, 1]}]}', 'bad_request add[1].box: reaches out of the picture, which is 1 wide and 1 high'),
  ('{"add": [{"box": [0, 0, 1, 1], "from": 2, "to": 2}]}', 'bad_request add[0].to: must be greater than from'),
  ('{"add": [{"box": [0, 0, 1, 1], "to": 0}]}', 'bad_request add[0].to: must be greater than from'),
  ('{"remove": [1]}', 'bad_request remove[0]: there is no region 1'), ('{"mask": [3]}', 'bad_request mask[0]: track 3 is not kept unmasked'),
  ('{"keep": [0]}', 'bad_request keep[0]: 0 is outside 1..2147483647'), ('{"keep": [1.5]}', 'bad_request keep[0]: must be a whole number'),
  ('{"keep": ["1"]}', 'bad_request keep[0]: must be a number'), ('{"keep": [2, 2]}', 'bad_request keep[1]: id 2 occurs twice')) t (e, w);
SELECT is(edit(:'film', '{"keep": [1]}', 'bob'), 'not_found', 'somebody else''s');
SELECT is(edit(:'film', '{"erase": [1]}', 'bob'), 'not_found', 'whatever is asked');
SELECT is(edit(:'plain', '{"keep": [1]}'), 'not_anonymized there is no masked copy to change', 'of media that were never anonymized');
SELECT is(everything(), :'before'::text, 'refused, nothing has changed');

-- an image
SELECT token_epoch FROM media.media WHERE id = :'film' \gset
SELECT media, outbox FROM media.media_regions(:'ann', :'film', format('{"add": [%1$s, %1$s], "keep": [4]}', :'box')::jsonb) \gset
SELECT is(:'media'::jsonb ->> 'state' || (:'media'::jsonb -> 'outputs') || (:'media'::jsonb ->> 'name'), 'processing[]anonymized', 'image: withdrawn at once');
SELECT is(jsonb_path_query_array(:'media'::jsonb, '$.regions[*].id')::text || (:'media'::jsonb -> 'kept'), '[1, 2][4]', 'image: its owner learns the ids');
SELECT is(jsonb_array_length(:'outbox'::jsonb), 1, 'image: to be published');
SELECT is(codes(:'film', 'masked.jpg'), 'ann:not_found bob:not_found nobody:token_missing token:not_found op:not_found exop:not_found',
  'image: the old copy is gone for everybody');
SELECT is((SELECT token_epoch FROM media.media WHERE id = :'film'), :token_epoch, 'image: tokens stay, for the new one');
SELECT is(object_state(:'key'), 'live', 'image: its object is there');
SELECT is(jobs_of(:'film', 2), 'anonymize:queued:original', 'image: the job again');
SELECT is((SELECT params - 'keep_original_days' FROM media.jobs WHERE media_id = :'film' AND run = 2), format(
  '{"edit": {"base_run": 1, "kept": [4], "regions": [{"id": 1, "box": [0.1, 0.2, 0.3, 0.4]}, {"id": 2, "box": [0.1, 0.2, 0.3, 0.4]}]}}')::jsonb,
  'image: with the change');
SELECT is(edit(:'film', '{"keep": [1]}'), 'conflict pipeline anonymize is still at work: cancel it first', 'image: one after another');
SELECT is((SELECT name || size FROM media.job_input(of_run(:'film', 'anonymize', 2))), 'anonymized100', 'image: it reads the original');
SELECT claim_job(of_run(:'film', 'anonymize', 2)) \gset _
SELECT is(fail_job(of_run(:'film', 'anonymize', 2)), 'failed', 'image: it fails');
SELECT is(codes(:'film', 'masked.jpg'), 'ann:not_found bob:not_found nobody:token_missing token:not_found op:not_found exop:not_found',
  'image: and nothing is served');
SELECT is(edit(:'film', '{"remove": [1], "mask": [4], "keep": [5]}'), 'ok', 'image: another change');
SELECT is((SELECT params -> 'edit' FROM media.jobs WHERE media_id = :'film' AND run = 3),
  '{"base_run": 1, "kept": [5], "regions": [{"id": 2, "box": [0.1, 0.2, 0.3, 0.4]}]}', 'image: upon the other, of the same base');
SELECT masked(of_run(:'film', 'anonymize', 3)) AS key3 \gset
SELECT is(seen(:'film', :'ann'), 'anonymized.jpg video/mp4 100 masked.jpg report.json', 'image: ready');
SELECT is((SELECT object_key FROM media.media_object(:'ann', :'film', 'masked.jpg')), :'key3', 'image: under a key of its own');
SELECT is(object_state(:'key'), 'doomed', 'image: the old one goes');
SELECT is((SELECT string_agg(DISTINCT run::text, ' ') FROM media.jobs WHERE media_id = :'film' AND step = 'anonymize'), '3', 'image: with its runs');
SELECT is(edit(:'film', '{"remove": [1]}'), 'bad_request remove[0]: there is no region 1', 'image: a region is removed once');

-- what was added holds when all is made anew
SELECT is(said(media.media_run(:'ann', :'film', 'anonymize', '{"mask": "mosaic"}')), 'ok', 'again');
SELECT is((SELECT params - 'keep_original_days' FROM media.jobs WHERE media_id = :'film' AND run = 4),
  '{"mask": "mosaic", "edit": {"kept": [], "regions": [{"id": 2, "box": [0.1, 0.2, 0.3, 0.4]}]}}', 'again: with the regions, but all tracks are new');
SELECT is((SELECT code FROM media.media_cancel(:'ann', :'film')), 'ok', 'again: canceled');
SELECT is(edit(:'film', '{"keep": [1]}'), 'conflict there is no masked copy to change: run a pipeline that makes one first', 'again: half a run is no base');
SELECT is(said(media.media_run(:'ann', :'film', 'anonymize', '{"mask": "mosaic"}')), 'ok', 'again: from the start');
SELECT masked(of_run(:'film', 'anonymize', 5)) \gset _
SELECT is(said(media.media_run(:'ann', :'film', 'one', '{"n": 2}')), 'ok', 'something else is made of the masked copy');
SELECT done(of_run(:'film', 'work', 6), 'main.mp3') \gset _
SELECT is(edit(:'film', format('{"add": [%s]}', :'box')::jsonb), 'ok', 'and then a region is added');
SELECT is((SELECT pipeline || params FROM media.media WHERE id = :'film'), 'anonymize{"mask": "mosaic"}',
  'a run of the pipeline that masked it, as it masked it');
SELECT is(seen(:'film', :'ann'), 'anonymized video/mp4 100 no outputs', 'what was made of the old copy is withdrawn, too');
SELECT masked(of_run(:'film', 'anonymize', 7)) AS key7 \gset
SELECT is(seen(:'film', :'ann'), 'anonymized.jpg video/mp4 100 masked.jpg report.json', 'and does not come back');

-- the original is gone
UPDATE media.media SET original_due_at = now() WHERE id = :'film';
SELECT is(media.janitor_originals(9), 1::bigint, 'gone');
SELECT is(edit(:'film', e), 'original_gone the original has been deleted: regions may be added, nothing can be unmasked', 'gone: ' || e::text)
  FROM unnest(ARRAY['{"keep": [1]}', '{"remove": [2], "add": []}']::jsonb[]) e;
SELECT is(edit(:'film', format('{"add": [%s]}', :'box')::jsonb), 'ok', 'gone: a region is added');
SELECT is(jobs_of(:'film', 8), 'anonymize:queued:masked', 'gone: to the masked copy');
SELECT is((SELECT params #>> '{edit,base}' FROM media.jobs WHERE media_id = :'film' AND run = 8), 'masked', 'gone: the job knows');
SELECT is(codes(:'film', 'masked.jpg'), 'ann:not_found bob:not_found nobody:token_missing token:not_found op:not_found exop:not_found',
  'gone: which is withdrawn');
SELECT is((SELECT object_key || name FROM media.job_input(of_run(:'film', 'anonymize', 8))), :'key7' || 'anonymized.jpg', 'gone: but the job has it');
SELECT claim_job(of_run(:'film', 'anonymize', 8)), fail_job(of_run(:'film', 'anonymize', 8)) \gset _
SELECT is(said(media.media_retry(:'ann', :'film')), 'ok', 'gone: tried again');
SELECT masked(of_run(:'film', 'anonymize', 8)) \gset _
SELECT is(seen(:'film', :'ann'), 'anonymized.jpg video/mp4 100 masked.jpg report.json', 'gone: ready');

-- a video of three segments, the second of which changes
CREATE FUNCTION test.video(p_owner uuid) RETURNS uuid LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := media(p_owner, 'anonymize');
  v_key text;
BEGIN
  PERFORM claim_job(job_id(v_id, 'anonymize'));
  v_key := job_id(v_id, 'anonymize') || '/index';
  PERFORM media.job_object(id, fence, v_key) FROM media.jobs WHERE id = job_id(v_id, 'anonymize');
  PERFORM finish_job(job_id(v_id, 'anonymize'), jsonb_build_object('keep', jsonb_build_array(jsonb_build_object('object_key', v_key, 'size', 2)),
    'fan_out', '[{"step": "detect", "range": {"n": 0}}, {"step": "voice", "range": {}},
      {"step": "associate", "range": {"total": 3, "kept": {"object_key": "index"}}}]'::jsonb));
  PERFORM detected(v_id, 0);
  PERFORM voiced(job_id(v_id, 'voice'), 3);
  PERFORM associated(job_id(v_id, 'associate'), '[{"step": "render", "range": {"n": 1}},
    {"step": "render", "range": {"n": 2}}, {"step": "render", "range": {"n": 3}}, {"step": "assemble"}]');
  PERFORM painted(of_run(v_id, 'render', 1, 0), '{0,1}', 3), painted(of_run(v_id, 'render', 1, 1), '{2}'), painted(of_run(v_id, 'render', 1, 2), '{3}');
  PERFORM masked(job_id(v_id, 'assemble'), 'masked.mp4');
  RETURN v_id;
END $$;
CREATE FUNCTION test.associated(p_job uuid, p_fan_out jsonb, p_reuse jsonb DEFAULT '[]') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_fence bigint := claim_job(p_job);
BEGIN
  PERFORM media.job_object(p_job, v_fence, p_job || '/plan');
  RETURN finish_job(p_job, jsonb_build_object('keep', jsonb_build_array(jsonb_build_object('object_key', p_job || '/plan', 'size', 4)),
    'fan_out', p_fan_out, 'reuse', p_reuse));
END $$;
-- Renders segments; with the first of them goes the track, so many segments long.
CREATE FUNCTION test.painted(p_job uuid, p_numbers int[], p_count int DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT rendered(p_job, p_numbers, 'masked', CASE WHEN p_count > 0 THEN jsonb_build_object('tracks', jsonb_build_array(
    jsonb_build_object('name', 'masked', 'segments', p_count, 'info', '{"kind": "video"}'::jsonb))) ELSE '{}' END)
$$;
-- The pieces that an assemble job is given: run of the job that wrote each.
CREATE FUNCTION test.pieces(p_job uuid, p_fence bigint) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(t ->> 'name' || ' ' || (SELECT string_agg(split_part(s ->> 0, '/', 1), ',') FROM jsonb_array_elements(t -> 'segments') s), ' ')
    FROM media.job_ladder(p_job, p_fence) l, jsonb_array_elements(l.ladder::jsonb -> 'tracks') t
$$;
SELECT video(:'ann') AS film \gset
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'video: ready');
SELECT job_id(:'film', 'render', 0) AS r0, job_id(:'film', 'render', 1) AS r1, job_id(:'film', 'render', 2) AS r2, job_id(:'film', 'voice') AS voice,
       job_id(:'film', 'associate') AS plan \gset
UPDATE media.pipeline_steps SET params = '{"crf": 30}' WHERE pipeline = 'anonymize';
SELECT is(edit(:'film', '{"keep": [1]}'), 'ok', 'video: an edit');
SELECT is(jobs_of(:'film', 2), 'anonymize:succeeded:original associate:queued:none detect:succeeded:original voice:succeeded:original',
  'video: takes over what holds, and associates anew');
SELECT is((SELECT range FROM media.jobs WHERE id = of_run(:'film', 'associate', 2)), jsonb_build_object('total', 3, 'kept', jsonb_build_object('object_key',
  :'plan' || '/plan', 'size', 4)),
  'video: by what that step has kept');
SELECT claim_job(of_run(:'film', 'associate', 2)) AS fence \gset
SELECT is((SELECT jsonb_array_length(detections::jsonb) FROM media.job_detections(of_run(:'film', 'associate', 2), :fence)), 1, 'video: detections are there');
UPDATE media.jobs SET state = 'queued', lease_until = NULL WHERE id = of_run(:'film', 'associate', 2);
SELECT throws_ok(format($$SELECT test.associated(%L, '[]', '[{"track": "masked", "from": 3, "to": 4}]')$$, of_run(:'film', 'associate', 2)), '23514', NULL,
  'video: segments that are not there');
SELECT throws_ok(format($$SELECT test.associated(%L, '[]', '[{"track": "other", "from": 1, "to": 1}]')$$, of_run(:'film', 'associate', 2)), '23514', NULL,
  'video: nor a track');
SELECT is(associated(of_run(:'film', 'associate', 2), '[{"step": "render", "range": {"n": 2}}, {"step": "assemble"}]',
  '[{"track": "masked", "from": 1, "to": 1}, {"track": "masked", "from": 3, "to": 3}]'), 'ok', 'video: two of three segments stay');
SELECT is(jobs_of(:'film', 2), concat('anonymize:succeeded:original assemble:waiting:none associate:succeeded:none ',
  'detect:succeeded:original render:queued:original voice:succeeded:original'), 'video: one is rendered');
SELECT is((SELECT params FROM media.jobs WHERE id = of_run(:'film', 'render', 2)),
  '{"keep_original_days": 30, "edit": {"base_run": 1, "kept": [1], "regions": []}}', 'video: with the params of the others, whatever the default is now');
SELECT claim_job(of_run(:'film', 'render', 2)), fail_job(of_run(:'film', 'render', 2)) \gset _
SELECT is((SELECT state || withdrawn FROM media.media WHERE id = :'film'), 'failedtrue', 'video: it fails');

-- another edit: of the same base, part of which the first has taken
SELECT is(edit(:'film', '{"keep": [2]}'), 'ok', 'video: another edit');
SELECT is(jobs_of(:'film', 3), 'anonymize:succeeded:original associate:queued:none detect:succeeded:original voice:succeeded:original',
  'video: has all it needs');
SELECT is((SELECT params #> '{edit}' FROM media.jobs WHERE id = of_run(:'film', 'associate', 3)), '{"base_run": 1, "kept": [1, 2], "regions": []}',
  'video: the same base');
SELECT is(associated(of_run(:'film', 'associate', 3), '[{"step": "render", "range": {"n": 1}}, {"step": "assemble"}]',
  '[{"track": "masked", "from": 2, "to": 3}]'), 'ok',
  'video: now the first segment is rendered');
SELECT painted(of_run(:'film', 'render', 3), '{0,1}', 3) AS code \gset
SELECT claim_job(of_run(:'film', 'assemble', 3)) AS fence \gset
SELECT of_run(:'film', 'render', 3) AS r3 \gset
SELECT is(pieces(of_run(:'film', 'assemble', 3), :fence), format('masked %1$s,%1$s,%2$s,%3$s masked_sound %4$s,%4$s,%4$s,%4$s', :'r3', :'r1', :'r2', :'voice'),
  'video: put together of new and old, the sound as it was');
SELECT masked(of_run(:'film', 'assemble', 3), 'masked.mp4') AS key3 \gset
SELECT is((SELECT object_key FROM media.media_object(:'ann', :'film', '')), :'key3', 'video: ready');
SELECT is((SELECT string_agg(DISTINCT run::text, ' ') FROM media.jobs WHERE media_id = :'film' AND step <> 'notify'), '3', 'video: nothing else is left');
SELECT is((SELECT string_agg(split_part(object_key, '/', 1), ' ' ORDER BY object_key) FROM media.objects WHERE media_id = :'film' AND state = 'live'
  AND object_key LIKE '%/masked/%'),
  (SELECT string_agg(x, ' ' ORDER BY x, k) FROM (VALUES (:'r3', 0), (:'r3', 1), (:'r1', 2), (:'r2', 3)) t (x, k)), 'video: of its pieces those that are in it');
SELECT is_empty(format($$SELECT s.object_key FROM media.segments s LEFT JOIN media.objects o ON o.object_key = s.object_key AND o.state = 'live'
  WHERE s.media_id = %L AND o.object_key IS NULL$$, :'film'), 'video: no segment has lost its object');

-- everything stays as it is
SELECT is(edit(:'film', '{"mask": [1]}'), 'ok', 'video: a third');
SELECT is(associated(of_run(:'film', 'associate', 4), '[{"step": "assemble"}]', '[{"track": "masked", "from": 1, "to": 3}]'), 'ok',
  'video: changes no picture');
SELECT claim_job(of_run(:'film', 'assemble', 4)) AS fence \gset
SELECT is(pieces(of_run(:'film', 'assemble', 4), :fence), format('masked %1$s,%1$s,%2$s,%3$s masked_sound %4$s,%4$s,%4$s,%4$s', :'r3', :'r1', :'r2',
  :'voice'), 'video: all pieces');
SELECT masked(of_run(:'film', 'assemble', 4), 'masked.mp4') AS key4 \gset
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'video: ready again');

-- two edits that come to nothing: the first has rendered a segment, which the second does not want
SELECT is(edit(:'film', '{"keep": [3]}'), 'ok', 'video: a fourth');
SELECT associated(of_run(:'film', 'associate', 5), '[{"step": "render", "range": {"n": 3}}, {"step": "assemble"}]',
  '[{"track": "masked", "from": 1, "to": 2}]') \gset _
SELECT painted(of_run(:'film', 'render', 5), '{3}') \gset _
SELECT is(said(media.media_cancel(:'ann', :'film')), 'ok', 'video: which is stopped');
SELECT is(edit(:'film', '{"mask": [3]}'), 'ok', 'video: a fifth');
SELECT is(associated(of_run(:'film', 'associate', 6), '[{"step": "assemble"}]', '[{"track": "masked", "from": 1, "to": 3}]'), 'ok',
  'video: everything is to be as it was');
SELECT is(said(media.media_cancel(:'ann', :'film')), 'ok', 'video: which is stopped, too');
SELECT is(edit(:'film', '{"keep": [4]}'), 'ok', 'video: a sixth');
SELECT is(associated(of_run(:'film', 'associate', 7), '[{"step": "assemble"}]', '[{"track": "masked", "from": 1, "to": 3}]'), 'ok',
  'video: changes no picture');
SELECT claim_job(of_run(:'film', 'assemble', 7)) AS fence \gset
SELECT is(pieces(of_run(:'film', 'assemble', 7), :fence), format('masked %1$s,%1$s,%2$s,%3$s masked_sound %4$s,%4$s,%4$s,%4$s', :'r3', :'r1', :'r2',
  :'voice'), 'video: what an edit rendered that came to nothing is in no other');
SELECT masked(of_run(:'film', 'assemble', 7), 'masked.mp4') AS key7 \gset

-- its original is gone
UPDATE media.media SET original_due_at = now() WHERE id = :'film';
SELECT media.janitor_originals(9) \gset _
SELECT is(edit(:'film', format('{"add": [%s]}', :'box')::jsonb), 'ok', 'video, gone: a region');
SELECT is(jobs_of(:'film', 8), 'anonymize:queued:masked voice:succeeded:original', 'video, gone: made anew of the masked copy, but for the sound');
SELECT claim_job(of_run(:'film', 'anonymize', 8)) \gset _
SELECT is(finish_job(of_run(:'film', 'anonymize', 8), '{"fan_out": [{"step": "render", "range": {}}, {"step": "assemble"}]}'), 'ok', 'video, gone: planned');
SELECT is(jobs_of(:'film', 8), 'anonymize:succeeded:masked assemble:waiting:none render:queued:masked voice:succeeded:original', 'video, gone: and rendered');
SELECT is((SELECT object_key FROM media.job_input(of_run(:'film', 'render', 8))), :'key7', 'video, gone: from it');
SELECT painted(of_run(:'film', 'render', 8), '{0,1,2,3}', 3), masked(of_run(:'film', 'assemble', 8), 'masked.mp4') \gset _
SELECT is((SELECT state || withdrawn FROM media.media WHERE id = :'film'), 'readyfalse', 'video, gone: ready');
SELECT is((SELECT code FROM media.media_delete(:'ann', :'film')), 'ok', 'deleted');
SELECT is((SELECT string_agg(DISTINCT state || all_versions, ' ') FROM media.objects WHERE media_id = :'film'), 'doomedtrue', 'with everything');
SELECT video(:'ann') AS film \gset
SELECT is(edit(:'film', '{"keep": [1]}'), 'ok', 'an edit');
SELECT is((SELECT code FROM media.media_delete(:'ann', :'film')), 'ok', 'deleted in the middle of it');
SELECT is((SELECT string_agg(DISTINCT state || all_versions, ' ') FROM media.objects WHERE media_id = :'film'), 'doomedtrue', 'with everything');

-- a picture is masked once more, which fails, and then its original is gone: the masked copy is not lost
SELECT media(:'ann', 'anonymize') AS film \gset
SELECT masked(job_id(:'film', 'anonymize')) AS key1 \gset
SELECT is(said(media.media_run(:'ann', :'film', 'anonymize', NULL)), 'ok', 'picture: masked again');
SELECT claim_job(of_run(:'film', 'anonymize', 2)), fail_job(of_run(:'film', 'anonymize', 2)) \gset _
SELECT is(edit(:'film', format('{"add": [%s]}', :'box')::jsonb), 'conflict there is no masked copy to change: run a pipeline that makes one first',
  'picture: half a run is no base');
UPDATE media.media SET original_due_at = now() WHERE id = :'film';
SELECT media.janitor_originals(9) \gset _
SELECT is(edit(:'film', format('{"add": [%s]}', :'box')::jsonb), 'ok', 'picture: but the copy is, when nothing else is left');
SELECT is((SELECT object_key FROM media.job_input(of_run(:'film', 'anonymize', 3))), :'key1', 'picture: the job reads it');
SELECT * FROM finish();
