-- Who may upload, and how much: quotas, names, Idempotency-Keys; in one session.
SELECT no_plan();
SELECT person('ann') AS ann, person('bob', 1000) AS bob, person('cid', NULL, 2) AS cid, person('dan', -1, -1) AS dan,
       person('eve', 100 << 20) AS eve, media.uuid7() AS unknown \gset
SELECT media.uuid7() AS u2, media.uuid7() AS u3, media.uuid7() AS o1, media.uuid7() AS o2, media.uuid7() AS o3, media.uuid7() AS o4,
       media.uuid7() AS s1, media.uuid7() AS s2, media.uuid7() AS s3, media.uuid7() AS s4, media.uuid7() AS n1,
       media.uuid7() AS e1 \gset
\set step '(64 << 20)'

-- bytes: reservations and media count
SELECT is(test.open(:'u2', :'bob', 600), 'ok', 'bytes: 600 of 1000');
SELECT is(media.quota_used(:'bob'), 600::bigint, 'bytes: reserved');
SELECT is(test.open(:'u3', :'bob', 401), 'quota_exceeded', 'bytes: 401 more');
SELECT is(test.open(:'u3', :'bob', 400), 'ok', 'bytes: 400 more');
SELECT is(test.open(media.uuid7(), :'bob', NULL), 'quota_exceeded', 'bytes: unknown size, nothing free');
SELECT is(test.open(media.uuid7(), :'bob', 0), 'ok', 'bytes: an empty file fits always');
SELECT results_eq(format('SELECT detail, members::jsonb FROM test.opened(media.uuid7(), %L, 1)', :'bob'),
  $$VALUES ('used 1000 of 1000 bytes', '{"resource": "bytes", "used": 1000, "limit": 1000}'::jsonb)$$, 'bytes: the figures are told');
SELECT is((SELECT code FROM media.upload_abort(:'u3', true, 'original/' || :'u3')), 'ok', 'bytes: an abort');
SELECT is(media.quota_used(:'bob'), 600::bigint, 'bytes: gives back');
SELECT results_eq(format('SELECT code, reserved FROM test.opened(%L, %L, NULL)', :'u3', :'bob'), $$VALUES ('ok', 400::bigint)$$,
  'bytes: unknown size gets what is free');
SELECT is((SELECT me::jsonb -> 'quota' FROM media.me(:'bob', NULL, NULL)),
  '{"used": 1000, "reserved": 1000, "limit": 1000, "uploads": 3, "uploads_limit": null}', 'bytes: in flight, as /me shows it');
SELECT is((SELECT code FROM test.close(:'u3', 'one', 300)), 'ok', 'bytes: a commit');
SELECT is(media.quota_used(:'bob'), 900::bigint, 'bytes: settles');
SELECT is((SELECT code FROM test.close(:'u2', 'one', 600)), 'ok', 'bytes: of what was reserved');
UPDATE media.users SET quota_bytes = 500 WHERE id = :'bob';
SELECT is(test.open(media.uuid7(), :'bob', 0), 'ok', 'bytes: an empty file fits even where the limit was lowered');
SELECT is(test.open(media.uuid7(), :'bob', 1), 'quota_exceeded', 'bytes: no other');

-- whose limit
CREATE FUNCTION test.open_by(p_owner uuid, p_size bigint, p_bytes bigint, p_uploads int) RETURNS text LANGUAGE sql AS $$
  SELECT code FROM media.upload_open(media.uuid7(), p_owner, 'k' || random(), 'n', NULL, NULL, 'one', NULL, p_size, p_size, NULL,
                                     NULL, false, NULL, p_bytes, p_uploads)
$$;
SELECT is(open_by(:'ann', 101, 100, NULL), 'quota_exceeded', 'default: the gateway''s limit');
SELECT is(open_by(:'ann', 100, 100, NULL), 'ok', 'default: within it');
SELECT is(open_by(:'ann', 1, NULL, 1), 'quota_exceeded', 'default: its limit of uploads');
SELECT is(open_by(:'dan', 1000, 100, 0), 'ok', 'default: not for who has none');
UPDATE media.users SET quota_bytes = 10 WHERE id = :'dan';
SELECT is(open_by(:'dan', 1, 100, 0), 'quota_exceeded', 'default: nor for who has another');
DELETE FROM media.uploads;

-- open uploads
SELECT is(test.open(:'o1', :'cid'), 'ok', 'uploads: the first');
SELECT is(test.open(:'o2', :'cid'), 'ok', 'uploads: the second');
SELECT results_eq(format('SELECT code, detail, members::jsonb FROM test.opened(media.uuid7(), %L)', :'cid'),
  $$VALUES ('quota_exceeded', '2 of 2 uploads are open', '{"resource": "uploads", "used": 2, "limit": 2}'::jsonb)$$, 'uploads: no third');
SELECT is((SELECT code FROM test.close(:'o1')), 'ok', 'uploads: one ends');
SELECT is(test.open(:'o3', :'cid'), 'ok', 'uploads: the next');
SELECT is((SELECT code FROM media.upload_abort(:'o3', false, 'original/' || :'o3')), 'ok', 'uploads: one is broken off');
SELECT is(test.open(:'o4', :'cid'), 'ok', 'uploads: the next');
DELETE FROM media.uploads;

-- reservation in steps
SELECT is((SELECT reserved FROM test.opened(:'s1', :'eve', NULL)), :step::bigint, 'steps: the first');
SELECT is((SELECT reserved FROM test.opened(:'s2', :'eve', NULL, p_most => 1000)), 1000::bigint, 'steps: no more than the body has');
SELECT is((SELECT reserved FROM test.opened(:'s4', :'eve', NULL, p_least => 2000, p_most => 3000)), 3000::bigint, 'steps: a form');
SELECT is(test.open(:'s3', :'eve', NULL), 'ok', 'steps: the rest');
SELECT results_eq(format('SELECT code, reserved, is_last FROM media.upload_reserve(%L, 10, NULL)', :'s1'),
  format('VALUES (%L, %s::bigint, true)', 'ok', :step), 'steps: nothing is free, what was given stays');
SELECT results_eq(format('SELECT code, detail, members::jsonb FROM media.upload_reserve(%L, %s + 1, NULL)', :'s1', :step),
  format($$VALUES ('quota_exceeded', 'used %1$s of %2$s bytes', '{"resource": "bytes", "used": %1$s, "limit": %2$s}'::jsonb)$$,
    (100 << 20) - :step, 100 << 20), 'steps: no byte more; what others use is told');
SELECT media.upload_abort(:'s3', true, 'original/' || :'s3') \gset _
SELECT results_eq(format('SELECT code, reserved, is_last FROM media.upload_reserve(%L, 40 << 20, NULL)', :'s1'),
  format('VALUES (%L, %s::bigint, true)', 'ok', (100 << 20) - 4000), 'steps: what another gave back');
SELECT results_eq(format('SELECT code, reserved, is_last FROM media.upload_reserve(%L, 40 << 20, NULL)', :'s1'),
  format('VALUES (%L, %s::bigint, true)', 'ok', (100 << 20) - 4000), 'steps: asked twice, it gets the same');
UPDATE media.users SET quota_bytes = NULL WHERE id = :'eve';
SELECT results_eq(format('SELECT code, reserved, is_last FROM media.upload_reserve(%L, 100 << 20, NULL)', :'s1'),
  format('VALUES (%L, %s::bigint, false)', 'ok', (100 << 20) + :step), 'steps: without a limit');
SELECT results_eq(format('SELECT code, reserved FROM media.upload_reserve(%L, 1, 200 << 20)', :'s1'),
  format('VALUES (%L, %s::bigint)', 'ok', (100 << 20) + :step), 'steps: never less');
SELECT is((SELECT code FROM media.upload_reserve(:'s1', 200 << 20, 199 << 20)), 'quota_exceeded', 'steps: the gateway''s limit');
SELECT is((SELECT code FROM media.upload_reserve(:'unknown', 1, NULL)), 'upload_lost', 'steps: unknown upload');
SELECT is((SELECT code FROM test.opened(media.uuid7(), :'bob', NULL, p_least => 300, p_most => 400)), 'quota_exceeded',
  'steps: a form that surely does not fit');
DELETE FROM media.uploads;

-- no_replace
SELECT media(:'ann', 'one', 'taken.mp4') \gset _
SELECT is(test.open(media.uuid7(), :'ann', 0, p_no_replace => true, p_name => 'taken.mp4'), 'precondition_failed', 'no_replace: the name is taken');
SELECT is(test.open(media.uuid7(), :'cid', 0, p_no_replace => true, p_name => 'taken.mp4'), 'ok', 'no_replace: by somebody else');
SELECT is(test.open(media.uuid7(), :'ann', 0, p_name => 'taken.mp4'), 'ok', 'no_replace: not asked for');
SELECT is(test.open(:'n1', :'ann', 0, p_no_replace => true, p_name => 'new.mp4'), 'ok', 'no_replace: a new name');
SELECT is(test.open(media.uuid7(), :'ann', 0, p_no_replace => true, p_name => 'new.mp4'), 'precondition_failed',
  'no_replace: an upload of that name runs');
SELECT media.upload_abort(:'n1', true, 'original/' || :'n1') \gset _
SELECT is(test.open(media.uuid7(), :'ann', 0, p_no_replace => true, p_name => 'new.mp4'), 'ok', 'no_replace: it ran');
SELECT is(test.open(media.uuid7(), :'ann', 0, p_name => NULL), 'ok', 'no_replace: a form has no name yet');
DELETE FROM media.uploads;

-- keys: while the first runs
SELECT repeat('ab', 32) AS sha, media.uuid7() AS k1, media.uuid7() AS k2 \gset
SELECT everything() AS before \gset
SELECT is(test.open(media.uuid7(), :'ann', 100, 'no-such', p_key => 'refused'), 'pipeline_unknown', 'key: a refused upload');
SELECT is(everything(), :'before'::text, 'key: takes none');
SELECT is(test.open(:'k1', :'ann', p_key => 'key'), 'ok', 'key: the first');
SELECT is(test.open(media.uuid7(), :'ann', p_key => 'key'), 'upload_in_progress', 'key: while it runs');
SELECT is(test.open(media.uuid7(), :'ann', 7, p_key => 'key'), 'upload_in_progress', 'key: while it runs, another file');
SELECT is(test.open(media.uuid7(), :'ann', p_key => 'Key'), 'ok', 'key: another key');
SELECT is(test.open(media.uuid7(), :'cid', p_key => 'key'), 'ok', 'key: of somebody else');
SELECT is((SELECT code FROM media.upload_replay(:'ann', 'key', 'film.mp4', 'A film', NULL, 'one', NULL, 100, :'sha')), 'upload_lost',
  'key: no answer yet');
-- a first attempt that failed frees it
SELECT media.upload_abort(:'k1', true, 'original/' || :'k1') \gset _
SELECT is(test.open(:'k1', :'ann', p_key => 'key'), 'ok', 'key: free after an abort');
UPDATE media.uploads SET heartbeat_at = now() - interval '1h' WHERE id = :'k1';
SELECT media.janitor_uploads(60) \gset _
SELECT is(test.open(:'k2', :'ann', p_key => 'key'), 'ok', 'key: free after the janitor');
SELECT is((SELECT code FROM test.close(:'k1')), 'gone', 'key: who was given up');
SELECT is((SELECT answer FROM media.upload_keys WHERE owner_id = :'ann' AND key = 'key'), NULL, 'key: does not answer for it');

-- keys: once the first is committed
SELECT code, media FROM test.close(:'k2') \gset
SELECT is(:'code'::text, 'ok', 'key: the commit');
SELECT results_eq(format($$SELECT upload_id, size_bytes, sha256, answer FROM media.upload_keys WHERE owner_id = %L AND key = 'key'$$, :'ann'),
  format('VALUES (%L::uuid, 100::bigint, %L, %L)', :'k2', :'sha', :'media'), 'key: keeps its answer');
CREATE FUNCTION test.again(p_size bigint, p_sha256 text, p_name text DEFAULT 'film.mp4', p_title text DEFAULT 'A film',
                           p_params jsonb DEFAULT NULL, p_visibility text DEFAULT NULL, p_pipeline text DEFAULT 'one',
                           p_least bigint DEFAULT 0, p_most bigint DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', code, CASE WHEN media IS NOT NULL THEN media_id END, size, regexp_replace(detail, '.* had ', ''))
    FROM test.opened(media.uuid7(), test.who('ann'), p_size, p_pipeline, p_params, p_name, true, 'key', p_sha256, p_title,
                     p_visibility, p_least, p_most)
$$;
SELECT everything() AS before \gset
SELECT is(again(100, :'sha'), format('replayed %s 100', :'k2'), 'again: the same, by size and digest');
SELECT is(again(NULL, :'sha'), format('replayed %s 100', :'k2'), 'again: the same, by digest');
SELECT is(again(100, NULL), format('replay %s 100', :'k2'), 'again: without a digest: to be hashed');
SELECT is(again(NULL, NULL), format('replay %s 100', :'k2'), 'again: of unknown size');
SELECT is(again(NULL, :'sha', NULL), format('replay %s 100', :'k2'), 'again: a form: its fields come later');
SELECT is(again(NULL, NULL, NULL, p_least => 90, p_most => 100), format('replay %s 100', :'k2'), 'again: a form that may be it');
SELECT is(again(NULL, NULL, NULL, p_least => 101, p_most => 110), 'idempotency_key_reused another size', 'again: a form that is too large');
SELECT is(again(NULL, NULL, NULL, p_most => 99), 'idempotency_key_reused another size', 'again: a form that is too small');
SELECT is(again(101, :'sha'), 'idempotency_key_reused another size', 'again: another size');
SELECT is(again(100, repeat('cd', 32)), 'idempotency_key_reused another sha-256', 'again: another digest');
SELECT is(again(100, :'sha', 'other.mp4'), 'idempotency_key_reused another name', 'again: another name');
SELECT is(again(100, :'sha', p_title => NULL), 'idempotency_key_reused another title', 'again: another title');
SELECT is(again(100, :'sha', p_params => '{"n": 2}'), 'idempotency_key_reused another params', 'again: other params');
SELECT is(again(100, :'sha', p_params => '{}'), format('replayed %s 100', :'k2'), 'again: none are none');
SELECT is(again(100, :'sha', p_visibility => 'public'), 'idempotency_key_reused another visibility', 'again: another visibility');
SELECT is(again(100, :'sha', p_visibility => 'private'), format('replayed %s 100', :'k2'), 'again: the default is the default');
SELECT is(again(100, NULL, p_pipeline => 'no-such'), 'idempotency_key_reused another pipeline', 'again: another pipeline');
CREATE FUNCTION test.hashed(p_size bigint, p_sha256 text, p_name text DEFAULT 'film.mp4', p_params jsonb DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', code, media_id, media IS NOT NULL, regexp_replace(detail, '.* had ', ''))
    FROM media.upload_replay(test.who('ann'), 'key', p_name, 'A film', NULL, 'one', p_params, p_size, p_sha256)
$$;
SELECT is(hashed(100, :'sha'), format('ok %s t', :'k2'), 'hashed: the same');
SELECT is(hashed(99, :'sha'), 'idempotency_key_reused f another size', 'hashed: another size');
SELECT is(hashed(100, repeat('cd', 32)), 'idempotency_key_reused f another sha-256', 'hashed: another file');
SELECT is(hashed(100, :'sha', 'other'), 'idempotency_key_reused f another name', 'hashed: another name');
SELECT is(hashed(100, :'sha', 'film.mp4', '{"n": 2}'), 'idempotency_key_reused f another params', 'hashed: other params');
SELECT is((SELECT code FROM media.upload_replay(:'bob', 'key', 'film.mp4', 'A film', NULL, 'one', NULL, 100, :'sha')), 'upload_lost',
  'hashed: somebody else''s key');
SELECT is(everything(), :'before'::text, 'again: nothing is made twice');
UPDATE media.users SET quota_bytes = 0 WHERE id = :'ann';
SELECT is(again(100, :'sha'), format('replayed %s 100', :'k2'), 'again: whatever the quota');
UPDATE media.users SET quota_bytes = NULL WHERE id = :'ann';
UPDATE media.media SET title = 'changed', visibility = 'public' WHERE id = :'k2';
SELECT is(again(100, :'sha'), format('replayed %s 100', :'k2'), 'again: whatever was changed since');
SELECT is((SELECT media FROM test.opened(media.uuid7(), :'ann', p_key => 'key', p_sha256 => :'sha')), :'media'::text, 'again: word for word');

-- keys: their end
SELECT ok((SELECT expires_at BETWEEN now() + interval '23h' AND now() + interval '25h' FROM media.upload_keys
   WHERE owner_id = :'ann' AND key = 'key'), 'end: a day');
UPDATE media.upload_keys SET expires_at = now() - interval '1s' WHERE owner_id = :'ann' AND key = 'key';
SELECT is(test.open(:'e1', :'ann', 7, p_key => 'key'), 'ok', 'end: an old key is free');
SELECT is((SELECT concat_ws(' ', upload_id, size_bytes, sha256, answer) FROM media.upload_keys WHERE owner_id = :'ann' AND key = 'key'),
  :'e1', 'end: and forgets');
SELECT is(test.open(media.uuid7(), :'ann', 7, p_key => 'key'), 'upload_in_progress', 'end: it is taken');
UPDATE media.upload_keys SET expires_at = now() - interval '1s' WHERE owner_id = :'ann' AND key = 'key';
SELECT is(test.open(media.uuid7(), :'ann', 7, p_key => 'key'), 'upload_in_progress', 'end: not while its upload runs');
SELECT media.janitor_uploads(60) \gset _
SELECT is((SELECT count(*)::int FROM media.upload_keys WHERE owner_id = :'ann' AND key = 'key'), 0, 'end: the janitor forgets it');
SELECT is((SELECT code FROM test.close(:'e1', 'one', 7)), 'ok', 'end: its upload goes on');
SELECT is((SELECT count(*)::int FROM media.upload_keys WHERE owner_id = :'cid'), 1, 'end: of no other');
SELECT * FROM finish();
