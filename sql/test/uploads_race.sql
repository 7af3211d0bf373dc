-- Uploads in several sessions at once.
SELECT no_plan();
SELECT sessions(8) \gset _
SELECT person('ann') AS ann, person('bob', 100) AS bob \gset

SELECT is(race(8, format('SELECT test.open(media.uuid7(), %L, 30)', :'bob')),
  '{ok,ok,ok,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded}'::text[],
  'quota: eight ask for 30 of 100 at once');
SELECT is(media.quota_used(:'bob'), 90::bigint, 'quota: three got it');

-- the same with the order fixed: the second waits for what the first will have used
DELETE FROM media.uploads;
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', format('SELECT test.open(media.uuid7(), %L, 60)', :'bob')), 'ok', 'quota: the first opens');
SELECT start('s2', format('SELECT test.open(media.uuid7(), %L, 60)', :'bob')) \gset _
SELECT ok(is_blocked('s2'), 'quota: the second waits');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(answer('s2'), 'quota_exceeded', 'quota: and is refused');

-- quota by commits of uploads of unknown size
DELETE FROM media.uploads;
CREATE TABLE test.ids AS SELECT n, media.uuid7() AS id FROM generate_series(1, 8) n;
SELECT is(test.open(id, :'bob', NULL), 'ok', 'quota: open, size unknown') FROM ids;
SELECT is(race(8, 'SELECT c.code FROM test.ids, test.close(id, ''one'', 30) c WHERE n = %s'),
  '{ok,ok,ok,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded,quota_exceeded}'::text[],
  'quota: eight commit 30 of 100 at once');
SELECT is((SELECT sum(size_bytes)::int FROM media.media WHERE owner_id = :'bob'), 90, 'quota: three did');

-- one upload, eight commits
SELECT media.uuid7() AS u \gset
SELECT is(test.open(:'u', :'ann'), 'ok', 'commit: open');
SELECT is((SELECT array_agg(DISTINCT a) FROM unnest(race(8, format('SELECT md5(c::text) FROM test.close(%L) c', :'u'))) a),
  (SELECT ARRAY[md5(c::text)] FROM test.close(:'u') c), 'commit: eight at once have one answer');
SELECT is((SELECT count(*)::int FROM media.jobs WHERE media_id = :'u'), 1, 'commit: one job');
SELECT is((SELECT count(*)::int FROM media.outbox WHERE job_id = job_id(:'u', 'work')), 1, 'commit: one message');
SELECT is((SELECT c.code FROM test.close(:'u') c), 'ok', 'commit: that answer is ok');

-- s1 does one thing to an upload and has not committed when s2 does the other
CREATE FUNCTION test.meet(p_first text, p_second text) RETURNS TABLE (was text, later text, object text) LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := media.uuid7();
BEGIN
  PERFORM test.tell('s1', 'DELETE FROM media.uploads');
  PERFORM test.ask('s1', format('SELECT test.open(%L, test.who(''ann''))', v_id));
  PERFORM test.tell('s1', format('UPDATE media.uploads SET heartbeat_at = now() - interval ''1h'' WHERE id = %L', v_id));
  PERFORM test.tell('s1', 'BEGIN');
  was := test.ask('s1', replace(p_first, '%s', quote_literal(v_id)));
  PERFORM test.start('s2', replace(p_second, '%s', quote_literal(v_id)));
  IF test.is_blocked('s2') THEN
    was := was || ', waited for';
  END IF;
  PERFORM test.tell('s1', 'COMMIT');
  later := test.answer('s2');
  object := test.ask('s1', format('SELECT coalesce(max(state), ''none'') FROM media.objects WHERE media_id = %L', v_id));
  RETURN NEXT;
END $$;
\set commit '\'SELECT code FROM test.close(%s)\''
\set abort '\'SELECT code FROM media.upload_abort(%s, true, $$original/$$ || %s)\''
\set janitor '\'SELECT media.janitor_uploads(60)::text\''
\set beat '\'SELECT coalesce(max(id::text), $$heard$$) <> $$heard$$ FROM media.upload_heartbeat(ARRAY[%s]::uuid[])\''
\set s3id '\'SELECT code FROM media.upload_s3id(%s, $$late$$)\''
SELECT is(m::text, w, t) FROM (
            SELECT meet(:commit, :janitor) m, '(ok,0,live)' w, 'commit, then janitor: it passes by' t
  UNION ALL SELECT meet(:janitor, :commit), '("1, waited for",gone,doomed)', 'janitor, then commit: gone'
  UNION ALL SELECT meet(:commit, :abort), '("ok, waited for",gone,live)', 'commit, then abort: too late'
  UNION ALL SELECT meet(:abort, :commit), '("ok, waited for",gone,none)', 'abort, then commit: gone'
  UNION ALL SELECT meet(:janitor, :beat), '("1, waited for",t,doomed)', 'janitor, then heart-beat: told that it is gone'
  UNION ALL SELECT meet(:beat, :janitor), '(f,0,pending)', 'heart-beat, then janitor: it passes by'
  UNION ALL SELECT meet(:janitor, :s3id), '("1, waited for",gone,doomed)', 'janitor, then S3 id: gone'
  UNION ALL SELECT meet(:s3id, :janitor), '(ok,0,pending)', 'S3 id, then janitor: it passes by'
  UNION ALL SELECT meet(:janitor, :janitor), '(1,0,doomed)', 'two janitors: one gives it up') x;

SELECT * FROM finish();
