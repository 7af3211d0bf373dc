-- Two gateways ask at the same time.
SELECT no_plan();
SELECT sessions(8) \gset _
SELECT person('ann') AS ann, person('bob', 100) AS bob, person('cid', NULL, 3) AS cid \gset

-- the last bytes
SELECT is(race(8, format('SELECT test.open(media.uuid7(), %L, 30)', :'bob')),
  '{ok,ok,ok,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded}'::text[],
  'bytes: eight ask for 30 of 100 at once');
SELECT is(media.quota_used(:'bob'), 90::bigint, 'bytes: three got it');
DELETE FROM media.uploads;
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', format('SELECT test.open(media.uuid7(), %L, 60)', :'bob')), 'ok', 'bytes: the first opens');
SELECT start('s2', format('SELECT test.open(media.uuid7(), %L, 60)', :'bob')) \gset _
SELECT ok(is_blocked('s2'), 'bytes: the second waits');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(answer('s2'), 'quota_exceeded', 'bytes: and is refused');

-- uploads of unknown length that extend their reservations
DELETE FROM media.uploads;
UPDATE media.users SET quota_bytes = 8 * (64 << 20) + (100 << 20) WHERE id = :'bob';
CREATE TABLE test.ids AS SELECT n, media.uuid7() AS id FROM generate_series(1, 8) n;
SELECT is(test.open(id, :'bob', NULL), 'ok', 'steps: open, size unknown') FROM ids;
SELECT is((SELECT array_agg(split_part(a, ' ', 1) ORDER BY a) FROM unnest(race(8,
    'SELECT concat_ws('' '', r.code, r.reserved) FROM test.ids, media.upload_reserve(id, (64 << 20) + 1, NULL) r WHERE n = %s')) a),
  '{ok,ok,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded}'::text[],
  'steps: eight ask for 64 of 100 MiB: one gets it, another the rest');
SELECT is(media.quota_used(:'bob'), (SELECT quota_bytes FROM media.users WHERE id = :'bob'), 'steps: to the last byte, no more');
SELECT is((SELECT array_agg(DISTINCT a) FROM unnest(race(8,
    'SELECT c.code FROM test.ids, test.close(id, ''one'', 64 << 20) c WHERE n = %s')) a), '{ok}'::text[], 'steps: what was given commits');
SELECT is(media.quota_used(:'bob'), (8 * (64 << 20))::bigint, 'steps: and settles');

-- a commit and an open: what is settled is not counted twice, nor forgotten
SELECT media.uuid7() AS u \gset
UPDATE media.users SET quota_bytes = 8 * (64 << 20) + 100 WHERE id = :'bob';
SELECT is(test.open(:'u', :'bob', 60), 'ok', 'settle: open');
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', format('SELECT code FROM test.close(%L, ''one'', 60)', :'u')), 'ok', 'settle: a commit on its way');
SELECT is(test.open(media.uuid7(), :'bob', 41), 'quota_exceeded', 'settle: its bytes count');
SELECT is(test.open(media.uuid7(), :'bob', 40), 'ok', 'settle: once');
SELECT tell('s1', 'COMMIT') \gset _

-- open uploads
SELECT is(race(8, format('SELECT test.open(media.uuid7(), %L, 1)', :'cid')),
  '{ok,ok,ok,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded}'::text[], 'uploads: eight ask for three');

-- one name
SELECT is(race(8, format('SELECT test.open(media.uuid7(), %L, 1, p_name => ''n'', p_no_replace => true)', :'ann')),
  '{ok,precondition_failed,precondition_failed,precondition_failed,precondition_failed,precondition_failed,precondition_failed,precondition_failed}'::text[],
  'no_replace: one of eight');
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', format('SELECT test.open(media.uuid7(), %L, 1, p_name => ''m'', p_no_replace => true)', :'ann')), 'ok', 'no_replace: one opens');
SELECT start('s2', format('SELECT test.open(media.uuid7(), %L, 1, p_name => ''m'', p_no_replace => true)', :'ann')) \gset _
SELECT ok(is_blocked('s2'), 'no_replace: another waits');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(answer('s2'), 'precondition_failed', 'no_replace: and is refused');

-- one key
SELECT is(race(8, format('SELECT test.open(media.uuid7(), %L, p_key => ''k'')', :'ann')),
  '{ok,upload_in_progress,upload_in_progress,upload_in_progress,upload_in_progress,upload_in_progress,upload_in_progress,upload_in_progress}'::text[],
  'key: one of eight');
SELECT upload_id AS u FROM media.upload_keys WHERE owner_id = :'ann' AND key = 'k' \gset
SELECT is((SELECT count(*)::int FROM media.uploads WHERE idempotency_key = 'k'), 1, 'key: one upload has it');
SELECT media.upload_abort(:'u', true, 'original/' || :'u') \gset _
SELECT is(race(8, format('SELECT test.open(media.uuid7(), %L, p_key => ''k'')', :'ann')),
  '{ok,upload_in_progress,upload_in_progress,upload_in_progress,upload_in_progress,upload_in_progress,upload_in_progress,upload_in_progress}'::text[],
  'key: freed, one of eight gets it');

-- a commit and a repetition: 409 before, the answer after
SELECT upload_id AS u FROM media.upload_keys WHERE owner_id = :'ann' AND key = 'k' \gset
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', format('SELECT code FROM test.close(%L)', :'u')), 'ok', 'key: a commit on its way');
SELECT start('s2', format('SELECT code FROM test.opened(media.uuid7(), %L, p_key => ''k'', p_sha256 => repeat(''ab'', 32))', :'ann')) \gset _
SELECT ok(is_blocked('s2'), 'key: a repetition waits for it');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(answer('s2'), 'replayed', 'key: and gets its answer');
SELECT is((SELECT array_agg(DISTINCT a) FROM unnest(race(8, format(
    'SELECT o.code FROM test.opened(media.uuid7(), %L, p_key => ''k'', p_sha256 => repeat(''ab'', 32)) o', :'ann'))) a),
  '{replayed}'::text[], 'key: eight repetitions at once');
SELECT is((SELECT count(*)::int FROM media.media WHERE owner_id = :'ann'), 1, 'key: one media');

-- a commit that is rolled back leaves the key to its upload
SELECT media.uuid7() AS u \gset
SELECT is(test.open(:'u', :'ann', p_key => 'r'), 'ok', 'rollback: open');
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', format('SELECT code FROM test.close(%L)', :'u')), 'ok', 'rollback: a commit');
SELECT tell('s1', 'ROLLBACK') \gset _
SELECT is(test.open(media.uuid7(), :'ann', p_key => 'r'), 'upload_in_progress', 'rollback: still in progress');
SELECT * FROM finish();
