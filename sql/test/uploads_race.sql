-- Uploads in several sessions at once.
SELECT no_plan();
SELECT sessions(8) \gset _
SELECT person('ann') AS ann \gset

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
