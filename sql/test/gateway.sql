-- What the gateway reads: lists, resources, objects, playback; and that an owner sees nothing of another.
SELECT no_plan();
SELECT person('ann') AS ann, person('bob', 1000) AS bob, media.uuid7() AS unknown \gset

-- the resource
SELECT media(:'ann') AS film \gset
SELECT media AS m FROM media.media_get(:'ann', :'film') \gset
SELECT is((SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(:'m') k), (SELECT array_agg(k ORDER BY k) FROM unnest(
    '{id,name,title,content_type,size,digest,owner,visibility,pipeline,params,state,progress,created_at,finished_at,error,probe,jobs,outputs}'::text[]) k),
  'resource: the members of the contract');
SELECT is(:'m'::jsonb - '{jobs,created_at}'::text[], jsonb_build_object('id', :'film', 'name', 'film.mp4', 'title', 'A film',
  'content_type', 'video/mp4',
  'size', 100, 'digest', jsonb_build_object('sha-256', repeat('ab', 32)), 'owner', :'ann', 'visibility', 'private', 'pipeline', 'one',
  'params', '{}'::jsonb, 'state', 'processing', 'progress', 0, 'finished_at', NULL, 'error', NULL, 'probe', NULL, 'outputs', '[]'::jsonb),
    'resource: new');
SELECT is(:'m'::jsonb -> 'jobs', jsonb_build_array(jsonb_build_object('id', job_id(:'film', 'work'), 'step', 'work', 'state', 'queued', 'progress', 0,
  'eta_seconds', NULL, 'attempt', 0, 'max_attempts', 3, 'error', NULL)), 'resource: its job');
SELECT matches(:'m'::jsonb ->> 'created_at', '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$', 'resource: times are RFC 3339 UTC');
SELECT claim_job(job_id(:'film', 'work')) AS fence, job_id(:'film', 'work') AS job \gset
SELECT media.job_heartbeat(:'job', :'fence', 60, 0.33333, 9.87) \gset _
SELECT is((SELECT concat_ws(' ', media::jsonb ->> 'progress', media::jsonb #>> '{jobs,0,eta_seconds}') FROM media.media_get(:'ann', :'film')),
  '0.3333 9.9', 'resource: progress');
SELECT media.job_object(:'job', :'fence', 'out-1') \gset _
SELECT is(finish_job(:'job', jsonb_build_object('outputs', jsonb_build_array(output('out-1')), 'probe', '{"n": 1}'::jsonb)), 'ok', 'resource: done');
SELECT is(media::jsonb -> 'outputs', jsonb_build_array(jsonb_build_object('name', 'main.mp3', 'kind', 'audio',
  'content_type', 'audio/mpeg', 'size', 5,
  'digest', jsonb_build_object('sha-256', repeat('cd', 32)), 'width', NULL, 'height', NULL, 'duration', 2.5, 'bitrate', NULL,
  'href', '/media/' || :'film' || '/main.mp3')), 'resource: its output') FROM media.media_get(:'ann', :'film');
SELECT is(concat_ws(' ', media::jsonb ->> 'state', (media::jsonb ->> 'progress')::float, media::jsonb #>> '{probe,n}'), 'ready 1 1',
  'resource: ready')
  FROM media.media_get(:'ann', :'film');
SELECT media(:'ann', 'none') AS none \gset
SELECT is((SELECT media::jsonb -> 'progress' FROM media.media_get(:'ann', :'none')), '1', 'resource: nothing to do is done');

-- objects
CREATE FUNCTION test.object(p_owner uuid, p_id uuid, p_output text) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', code, object_key, output, detail) FROM media.media_object(p_owner, p_id, p_output)
$$;
SELECT results_eq(format('SELECT * FROM media.media_object(%L, %L, ''original'')', :'ann', :'film'),
  format($$SELECT 'ok', NULL, object_key, 100::bigint, '"etag"', 'video/mp4', 'film.mp4', %L,
      floor(extract(epoch FROM created_at))::bigint, 'original', false
    FROM media.media WHERE id = %L$$, repeat('ab', 32), :'film'), 'object: the original');
SELECT results_eq(format('SELECT * FROM media.media_object(%L, %L, %L)', :'ann', :'film', o),
  format($$SELECT 'ok', NULL, 'out-1', 5::bigint, '"out"', 'audio/mpeg', 'film.mp4', %L, floor(extract(epoch FROM created_at))::bigint, 'main.mp3', false
    FROM media.outputs WHERE media_id = %L$$, repeat('cd', 32), :'film'), 'object: output "' || o || '"') FROM unnest(ARRAY['main.mp3', '']) o;
SELECT is(object(:'ann', :'film', 'other.mp3'), 'not_found', 'object: no such output');
SELECT is(object(:'ann', :'unknown', o), 'not_found', 'object: no such media, "' || o || '"') FROM unnest(ARRAY['original', 'main.mp3', '']) o;
SELECT media(:'ann') AS fresh \gset
SELECT is(object(:'ann', :'fresh', ''), 'not_ready', 'object: main output, not ready');
SELECT is(object(:'ann', :'fresh', 'main.mp3'), 'not_found', 'object: an output that is not there yet');
SELECT claim_job(job_id(:'fresh', 'work')) AS f, fail_job(job_id(:'fresh', 'work')) AS c \gset
SELECT is(object(:'ann', :'fresh', ''), 'failed no sound in it', 'object: main output, failed, with the cause');
SELECT is(object(:'ann', :'fresh', 'original'), 'ok original/' || :'fresh' || ' original', 'object: the original of what failed');
SELECT is(object(:'ann', :'none', ''), 'not_found', 'object: main output of a pipeline without');
SELECT media(:'ann', 'line') AS line \gset
SELECT is(done(job_id(:'line', 'x'), 'x.mp3') || done(job_id(:'line', 'y'), 'y.mp3'), 'okok', 'object: outputs of other steps');
SELECT is(object(:'ann', :'line', ''), 'not_ready', 'object: are not the main output');
SELECT is(left(object(:'ann', :'line', 'x.mp3'), 2), 'ok', 'object: are there by name');
SELECT is(done(job_id(:'line', 'z'), 'z.mp3'), 'ok', 'object: the main step');
SELECT is((SELECT output FROM media.media_object(:'ann', :'line', '')), 'z.mp3', 'object: main output');

-- playback
CREATE FUNCTION test.play(p_id uuid, p_epoch int, p_output text, p_sid uuid DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', code, object_key) FROM media.play_object(p_id, p_epoch, p_sid, p_output)
$$;
SELECT results_eq(format('SELECT * FROM media.media_epoch(%L, %L)', :'ann', :'film'), 'VALUES (1, 2.5::float8)', 'play: epoch and duration');
SELECT results_eq(format('SELECT * FROM media.media_epoch(%L, %L)', :'ann', :'none'), 'VALUES (1, NULL::float8)', 'play: no duration');
SELECT is(play(:'film', 1, o), 'ok out-1', 'play: "' || o || '"') FROM unnest(ARRAY['main.mp3', '']) o;
SELECT is(play(:'film', 1, 'no-such'), 'not_found', 'play: no such output');
SELECT is(play(:'film', e, ''), 'not_found', 'play: not with epoch ' || coalesce(e::text, 'null')) FROM unnest(ARRAY[0, 2, NULL]) e;
UPDATE media.media SET token_epoch = 2 WHERE id = :'film';
SELECT is(play(:'film', 1, ''), 'not_found', 'play: tokens of an old epoch have ended');
SELECT is(play(:'film', 2, ''), 'ok out-1', 'play: new ones are good');
SELECT is((SELECT epoch FROM media.media_epoch(:'ann', :'film')), 2, 'play: the new epoch');
SELECT is(play(:'unknown', 1, ''), 'not_found', 'play: no such media');

SELECT login(:'ann', 'c') AS ends, login(:'ann', 'd') AS stays \gset
SELECT media.session_close(:'ann', :'ends') \gset _
SELECT is(play(:'film', 2, '', :'ends'), 'not_found', 'play: tokens made in a login end with it');
SELECT is(play(:'film', 2, '', s), 'ok out-1', 'play: those of another do not') FROM unnest(ARRAY[:'stays'::uuid, NULL]) s;
UPDATE media.users SET password_hash = '$y$other' WHERE id = :'ann';
SELECT is(play(:'film', 2, '', :'stays'), 'not_found', 'play: they end when all logins of the owner do');
SELECT is(play(:'film', 2, '', login(:'ann')), 'ok out-1', 'play: a later login is good');

-- lists
CREATE FUNCTION test.page(p_owner uuid, p_limit int DEFAULT 50, p_cursor text DEFAULT NULL, p_state text DEFAULT NULL, p_pipeline text DEFAULT NULL,
                          p_q text DEFAULT NULL, p_sort text DEFAULT NULL) RETURNS jsonb LANGUAGE sql AS $$
  SELECT coalesce(page::jsonb, to_jsonb(code || ': ' || detail)) FROM media.media_list(p_owner, p_limit, p_cursor, p_state, p_pipeline, p_q, p_sort)
$$;
CREATE FUNCTION test.names(p_page jsonb) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(i ->> 'name', ' ' ORDER BY n) FROM jsonb_array_elements(p_page -> 'items') WITH ORDINALITY x (i, n)
$$;
DELETE FROM media.media;
SELECT is(page(:'ann'), '{"items": [], "next": null}', 'list: empty');
INSERT INTO media.media (id, owner_id, name, title, content_type, size_bytes, sha256, etag, object_key, pipeline, state)
  SELECT overlay(media.uuid7()::text PLACING lpad(n::text, 8, '0') FROM 1)::uuid, :'ann', 'n' || n, 'Title ' || chr(64 + n),
         'video/mp4', n, repeat('ab', 32), 'e', 'key' || n, CASE WHEN n % 2 = 0 THEN 'one' ELSE 'line' END,
         (ARRAY['processing', 'ready', 'failed', 'canceled'])[n % 4 + 1] FROM generate_series(1, 7) n;
SELECT is(names(page(:'ann')), 'n7 n6 n5 n4 n3 n2 n1', 'list: newest first');
SELECT is(names(page(:'ann', p_sort => '-created_at')), 'n7 n6 n5 n4 n3 n2 n1', 'list: newest first, when asked');
SELECT is(names(page(:'ann', p_sort => 'created_at')), 'n1 n2 n3 n4 n5 n6 n7', 'list: oldest first');
SELECT is(page(:'ann', 1) -> 'items' -> 0, (SELECT media::jsonb FROM media.media m, media.media_get(m.owner_id, m.id) WHERE m.name = 'n7'),
  'list: its items are the resources');
CREATE FUNCTION test.pages(p_owner uuid, p_limit int, p_sort text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_page jsonb;
  v_all text[] := '{}';
BEGIN
  LOOP
    v_page := test.page(p_owner, p_limit, v_page ->> 'next', p_sort => p_sort);
    v_all := v_all || test.names(v_page);
    EXIT WHEN v_page ->> 'next' IS NULL OR cardinality(v_all) > 10;
  END LOOP;
  RETURN array_to_string(v_all, '|');
END $$;
SELECT is(pages(:'ann', 3, NULL), 'n7 n6 n5|n4 n3 n2|n1', 'list: pages');
SELECT is(pages(:'ann', 3, 'created_at'), 'n1 n2 n3|n4 n5 n6|n7', 'list: pages, oldest first');
SELECT is(pages(:'ann', 7, NULL), 'n7 n6 n5 n4 n3 n2 n1', 'list: a page that holds all has no next');
SELECT matches(page(:'ann', 1) ->> 'next', '^[A-Za-z0-9_-]{22}$', 'list: a cursor is safe in a URL');
SELECT is(names(page(:'ann', p_state => 'ready')), 'n5 n1', 'list: of a state');
SELECT is(names(page(:'ann', p_pipeline => 'one')), 'n6 n4 n2', 'list: of a pipeline');
SELECT is(names(page(:'ann', p_pipeline => 'one', p_state => 'failed')), 'n6 n2', 'list: of both');
SELECT is(names(page(:'ann', p_pipeline => 'no-such')), NULL, 'list: of an unknown pipeline');
SELECT is(names(page(:'ann', p_q => 'N3')), 'n3', 'list: name contains');
SELECT is(names(page(:'ann', p_q => 'title c')), 'n3', 'list: title contains');
SELECT is(names(page(:'ann', p_q => q)), NULL, 'list: no pattern: ' || q) FROM unnest(ARRAY['n_', '%', '.*']) q;
SELECT is(page(:'ann', p_state => 'x'), '"bad_request: state: must be processing, ready, failed or canceled"', 'list: bad state');
SELECT is(page(:'ann', p_sort => 'name'), '"bad_request: sort: must be created_at or -created_at"', 'list: bad sort');
SELECT is(page(:'ann', p_cursor => c), '"bad_request: cursor: not one of ours"', 'list: bad cursor ' || c)
  FROM unnest(ARRAY['', 'x', '!', 'AAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAAAA', 'AAAAAAAAAAAAAAAAAAAAAAAA', repeat('A', 5000)]) c;
SELECT is(names(page(:'ann', p_cursor => repeat('A', 22), p_sort => 'created_at')), 'n1 n2 n3 n4 n5 n6 n7', 'list: any id is a cursor');

-- unlisted and public: for whoever has the id
DELETE FROM media.media;
SELECT media(:'ann') AS film \gset
SELECT claim_job(job_id(:'film', 'work')) AS fence, job_id(:'film', 'work') AS job \gset
SELECT media.job_object(:'job', :'fence', 'out-v') \gset _
SELECT finish_job(:'job', jsonb_build_object('outputs', jsonb_build_array(output('out-v')), 'probe', '{"gps": 1}'::jsonb)) \gset _
CREATE TABLE test.callers AS SELECT * FROM (VALUES ('nobody', NULL::uuid), ('bob', :'bob'::uuid)) t (name, id);
CREATE FUNCTION test.seen(p_caller uuid, p_id uuid) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', (SELECT 'yes' FROM media.media_get(p_caller, p_id)),
    (SELECT string_agg(object(p_caller, p_id, o), ' ' ORDER BY n) FROM unnest('{main.mp3,"",none.mp3,original}'::text[]) WITH ORDINALITY x (o, n)))
$$;
SELECT is(seen(id, :'film'), concat_ws(' ', CASE name WHEN 'bob' THEN 'not_found not_found not_found not_found'
  ELSE 'token_missing token_missing token_missing token_missing' END), 'private: nothing for ' || name) FROM callers;
UPDATE media.media SET visibility = 'unlisted' WHERE id = :'film';
SELECT is(seen(id, :'film'), 'yes ok out-v main.mp3 ok out-v main.mp3 not_found '
  || CASE name WHEN 'bob' THEN 'not_found' ELSE 'token_missing' END, 'unlisted: outputs for ' || name || ', not the original') FROM callers;
UPDATE media.media SET visibility = 'public' WHERE id = :'film';
SELECT is(seen(id, :'film'), 'yes ok out-v main.mp3 ok out-v main.mp3 not_found '
  || CASE name WHEN 'bob' THEN 'not_found' ELSE 'token_missing' END, 'public: the same for ' || name) FROM callers;
SELECT is(seen(:'ann', :'film'), 'yes ok out-v main.mp3 ok out-v main.mp3 not_found ok original/' || :'film' || ' original',
  'public: all for its owner');
SELECT is((SELECT media::jsonb FROM media.media_get(c.id, :'film')),
  (SELECT media::jsonb || '{"jobs": [], "params": {}, "probe": null, "error": null}' FROM media.media_get(:'ann', :'film')),
  'public: what the file itself and the engine tell is not for ' || c.name) FROM callers c;
SELECT is((SELECT media::jsonb #>> '{probe,gps}' FROM media.media_get(:'ann', :'film')), '1', 'public: but for its owner');
SELECT is((SELECT count(*)::int FROM jsonb_array_elements((SELECT page::jsonb FROM media.media_list(:'bob', 50, NULL, NULL, NULL, NULL, NULL)) -> 'items')),
  0, 'public: listed to nobody else');
SELECT media(:'ann') AS bad \gset
SELECT claim_job(job_id(:'bad', 'work')) AS f, fail_job(job_id(:'bad', 'work')) AS c \gset
UPDATE media.media SET visibility = 'public' WHERE id = :'bad';
SELECT is(object(id, :'bad', ''), 'failed', 'public: why it failed is not for ' || name) FROM callers;
SELECT is_empty(format('SELECT * FROM media.media_epoch(%L, %L)', :'bob', :'film'), 'public: playback tokens are made by its owner');

-- nobody sees what is another's
DELETE FROM media.media;
SELECT media(:'ann') AS film, media(:'bob') AS own \gset
SELECT is(done(job_id(:'film', 'work')), 'ok', 'ann has a film');
SELECT is_empty(format('SELECT * FROM media.media_get(%L, %L)', :'bob', :'film'), 'bob cannot get it');
SELECT is(object(:'bob', :'film', o), 'not_found', 'nor its object "' || o || '"') FROM unnest(ARRAY['original', 'main.mp3', '']) o;
SELECT is(object(:'bob', :'film', ''), object(:'bob', :'unknown', ''), 'nor tell it from one that is not there');
SELECT is_empty(format('SELECT * FROM media.media_epoch(%L, %L)', :'bob', :'film'), 'nor make a playback token');
SELECT is((SELECT string_agg(i ->> 'id', ' ') FROM jsonb_array_elements(page(:'bob') -> 'items') i), :'own', 'nor list it');
SELECT is((SELECT string_agg(i ->> 'id', ' ')
    FROM jsonb_array_elements(page(:'bob', p_sort => 'created_at', p_state => s, p_q => 'film') -> 'items') i),
  CASE s WHEN 'processing' THEN :'own' END, 'nor with a filter on ' || s) FROM unnest(ARRAY['ready', 'processing']) s;
SELECT page(:'ann', 1, p_sort => 'created_at') AS ann_page,
  rtrim(translate(encode(uuid_send(:'film'), 'base64'), '+/', '-_'), '=') AS ann_cursor \gset
SELECT ok(page(:'bob', p_cursor => :'ann_cursor', p_sort => s)::text NOT LIKE '%' || :'film' || '%',
  'nor with a cursor of ann, ' || s) FROM unnest(ARRAY['created_at', '-created_at']) s;
SELECT is(me::jsonb, jsonb_build_object('id', :'bob', 'email', 'bob@example.test', 'roles', '["user"]'::jsonb,
  'quota', '{"used": 100, "reserved": 0, "limit": 1000, "uploads": 0, "uploads_limit": 5}'::jsonb), 'me: is about bob alone')
  FROM media.me(:'bob', 7, 5);
SELECT is((SELECT me::jsonb -> 'quota' -> 'limit' FROM media.me(:'ann', NULL, NULL)), 'null'::jsonb, 'me: no limit');
SELECT is((SELECT me::jsonb -> 'quota' -> 'limit' FROM media.me(:'ann', 7, NULL)), '7'::jsonb, 'me: that of the gateway');
SELECT is_empty(format('SELECT * FROM media.me(%L, NULL, NULL)', :'unknown'), 'me: unknown');
-- every function of the gateway that answers with media is in the list above
SELECT set_eq($$SELECT proname::text FROM pg_proc WHERE pronamespace = 'media'::regnamespace
    AND has_function_privilege('media_gateway', oid, 'EXECUTE') AND 'p_owner' = ANY (proargnames) AND proname NOT LIKE 'upload%'$$,
  '{media_list,media_epoch,media_patch,media_delete,media_cancel,media_retry,media_run,media_regions}'::text[],
  'no other function of the gateway takes an owner');
SELECT set_eq($$SELECT proname::text FROM pg_proc WHERE pronamespace = 'media'::regnamespace
    AND has_function_privilege('media_gateway', oid, 'EXECUTE') AND 'p_caller' = ANY (proargnames)$$,
  '{media_get,media_object}'::text[], 'nor a caller');
SELECT * FROM finish();
