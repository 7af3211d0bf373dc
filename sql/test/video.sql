-- The ladder: what its steps hand on, the set of whole tracks, the paths of segments, steps that fan out into nothing.
SELECT no_plan();
SELECT person('ann') AS ann, person('ben') AS ben \gset

-- Claims a job, registers its keys, and finishes it with them: tracks and segments as [track, number, duration]
CREATE FUNCTION test.wrote(p_job uuid, p_tracks jsonb, p_segments jsonb, p_fan_out jsonb DEFAULT '[]') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_fence bigint := test.claim_job(p_job);
  v_segments jsonb := '[]';
  v_s jsonb;
  v_key text;
BEGIN
  FOR v_s IN SELECT * FROM jsonb_array_elements(p_segments) LOOP
    v_key := format('%s/%s/%s/%s', p_job, v_fence, v_s ->> 0, v_s ->> 1);
    PERFORM media.job_object(p_job, v_fence, v_key);
    v_segments := v_segments || jsonb_build_object('track', v_s ->> 0, 'number', v_s -> 1, 'size', 1000 + (v_s ->> 1)::int,
      'sha256', repeat('0a', 32), 'etag', 'e', 'object_key', v_key, 'duration', v_s -> 2,
      'iframe_offset', CASE WHEN v_s ->> 0 = '360p' THEN 10 END, 'iframe_bytes', CASE WHEN v_s ->> 0 = '360p' THEN 90 END);
  END LOOP;
  RETURN test.finish_job(p_job, jsonb_build_object('tracks', p_tracks, 'segments', v_segments, 'fan_out', p_fan_out));
END $$;

SELECT media(:'ann', 'video') AS film \gset
SELECT is(states(:'film'), 'index:queued package:waiting package_first:waiting', 'at first');
SELECT is(wrote(job_id(:'film', 'index'), '[{"name": "360p", "segments": 3, "info": {"kind": "video", "height": 360}},
   {"name": "720p", "segments": 1, "info": {"kind": "video", "height": 720}}]', '[]',
   '[{"step": "encode_first", "range": [0, 2]}, {"step": "encode_first", "range": [2, 3]}, {"step": "encode", "range": [0, 3]}]'),
  'ok', 'index: its tracks, and jobs for two ranges and the rest');
SELECT is(states(:'film'), 'encode:queued encode_first:queued encode_first:queued index:succeeded package:waiting package_first:waiting', 'then');
SELECT is(wrote(job_id(:'film', 'encode_first', 0), '[]', '[["360p", 0, 0], ["360p", 1, 40], ["360p", 2, 40]]'), 'ok', 'the first range');
SELECT is((job(:'film', 'package_first')).state, 'waiting', 'a rung is not whole');
SELECT is(media.run_set(:'film', 1) -> 'tracks', '[]', 'so it is not in the set');
SELECT is(wrote(job_id(:'film', 'encode_first', 1), '[]', '[["360p", 3, 12]]'), 'ok', 'the second range');
SELECT is((job(:'film', 'package_first')).state, 'queued', 'sound and text have no jobs: nothing to wait for');
SELECT is((job(:'film', 'package')).state, 'waiting', 'but for the other rungs');
SELECT claim_job(job_id(:'film', 'package_first')) AS fence \gset
SELECT is(cmafset::jsonb, '{"segments": "../cmaf/", "tracks": [{"name": "360p", "kind": "video", "height": 360, "revision": 1,
   "segments": [[40, 1001, 10, 90], [40, 1002, 10, 90], [12, 1003, 10, 90]]}]}', 'the set of the first rung')
  FROM media.job_set(job_id(:'film', 'package_first'), :fence);
SELECT results_eq(format('SELECT code, cmafset FROM media.job_set(%L, %s)', job_id(:'film', 'package_first'), :fence - 1),
  $$VALUES ('lost', NULL::text)$$, 'under its fence only');
SELECT is(finish_job(job_id(:'film', 'package_first')), 'ok', 'playlists of the first rung');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'processing', 'the rest goes on');
SELECT is(wrote(job_id(:'film', 'encode'), '[]', '[["720p", 0, 0], ["720p", 1, 92]]'), 'ok', 'the other rungs');
SELECT is((SELECT jsonb_agg(t ->> 'name') FROM jsonb_array_elements(media.run_set(:'film', 1) -> 'tracks') t), '["360p", "720p"]', 'both');
SELECT is(jsonb_path_query_first(media.run_set(:'film', 1), '$.tracks[*] ? (@.name == "720p").segments'), '[[92, 1001]]',
  'a segment that names no first picture has none');
SELECT is(done(job_id(:'film', 'package'), 'hls/master.m3u8'), 'ok', 'playlists of all');
SELECT is((SELECT state FROM media.media WHERE id = :'film'), 'ready', 'ready');

-- paths
SELECT is((SELECT code || ' ' || size || ' ' || content_type FROM media.media_object(:'ann', :'film', p)), want, p) FROM (VALUES
  ('cmaf/1/360p/init.mp4', 'ok 1000 video/mp4'), ('cmaf/1/360p/3.m4s', 'ok 1003 video/mp4')) t (p, want);
SELECT is((SELECT code FROM media.media_object(:'ann', :'film', p)), 'not_found', p) FROM unnest(ARRAY['cmaf/1/360p/4.m4s', 'cmaf/1/360p/0.m4s',
  'cmaf/2/360p/1.m4s', 'cmaf/1/480p/1.m4s', 'cmaf/1/360p/1.ts', 'cmaf/1/360p/01.m4s', 'cmaf/1/360p/9999999999.m4s', 'cmaf/', 'cmaf/1/../1.m4s']) p;
SELECT is((SELECT code FROM media.media_object(:'ben', :'film', 'cmaf/1/360p/1.m4s')), 'not_found', 'of somebody else''s media');
SELECT is((SELECT code FROM media.play_object(:'film', 1, NULL, 'cmaf/1/360p/1.m4s')), 'ok', 'by a playback token');
SELECT is((SELECT output FROM media.media_object(:'ann', :'film', 'hls/master.m3u8')), 'hls/master.m3u8', 'the master playlist is an output');

-- a file of each rung; the ladder stays when something else has run
SELECT is((SELECT code FROM media.media_run(:'ann', :'film', 'mp4', '{}')), 'ok', 'asked for files');
SELECT claim_job(job_id(:'film', 'mp4')) AS fence \gset
SELECT is((SELECT jsonb_path_query_array(ladder::jsonb, '$.tracks[*].name')::text || jsonb_path_query_array(ladder::jsonb, '$.tracks[*].segments.size()')
             FROM media.job_ladder(job_id(:'film', 'mp4'), :fence)), '["360p", "720p"][4, 2]', 'the ladder with its init segments');
SELECT results_eq(format('SELECT code, ladder FROM media.job_ladder(%L, %s)', job_id(:'film', 'mp4'), :fence - 1),
  $$VALUES ('lost', NULL::text)$$, 'under its fence only');
SELECT media.job_object(job_id(:'film', 'mp4'), :fence, 'a file') \gset _
SELECT is(finish_job(job_id(:'film', 'mp4'), jsonb_build_object('outputs', jsonb_build_array(output('a file', '720p.mp4')))), 'ok', 'a file');
SELECT is((SELECT code FROM media.media_object(:'ann', :'film', 'cmaf/1/360p/1.m4s')), 'ok', 'the segments are there');
SELECT media(:'ann', 'mp4') AS bare \gset
SELECT claim_job(job_id(:'bare', 'mp4')) AS fence \gset
SELECT results_eq(format('SELECT code, ladder FROM media.job_ladder(%L, %s)', job_id(:'bare', 'mp4'), :fence),
  $$VALUES ('ok', NULL::text)$$, 'no ladder');

-- who may share them
CREATE FUNCTION test.shared(p_id uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(coalesce((SELECT public::text FROM media.play_object(p_id, 1, NULL, p)), 'null'), ' ' ORDER BY p)
    FROM unnest(ARRAY['cmaf/1/360p/1.m4s', 'hls/master.m3u8', 'original']) p
$$;
SELECT is(shared(:'film'), 'false false false', 'private: none');
UPDATE media.media SET visibility = 'unlisted' WHERE id = :'film';
SELECT is(shared(:'film'), 'false false false', 'unlisted: none');
UPDATE media.media SET visibility = 'public' WHERE id = :'film';
SELECT is(shared(:'film'), 'true true false', 'public: all but the original');
SELECT is((SELECT code FROM media.media_object(NULL, :'film', p)), want, 'public, without a token: ' || p) FROM (VALUES
  ('cmaf/1/360p/1.m4s', 'ok'), ('hls/master.m3u8', 'ok'), ('original', 'token_missing')) t (p, want);

-- an object nobody registered
SELECT media(:'ann', 'video') AS other \gset
SELECT claim_job(job_id(:'other', 'index')) \gset _
SELECT throws_ok(format($$SELECT finish_job(%L, '{"keep": [{"object_key": "x"}]}')$$, job_id(:'other', 'index')), '23514', NULL,
  'what was never registered cannot be kept');

-- with the media all of it goes
SELECT is((SELECT count(*)::int FROM media.objects WHERE media_id = :'film' AND state = 'live' AND job_id IS NOT NULL), 8, 'objects of a ladder and a file');
SELECT is((SELECT code FROM media.media_delete(:'ann', :'film')), 'ok', 'deleted');
SELECT is((SELECT count(*)::int FROM media.segments WHERE media_id = :'film') + (SELECT count(*)::int FROM media.tracks WHERE media_id = :'film'),
  0, 'its rows are gone');
SELECT is((SELECT count(*)::int FROM media.objects WHERE media_id = :'film' AND state <> 'doomed'), 0, 'its objects are to be deleted');
SELECT * FROM finish();
