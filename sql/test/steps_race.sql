-- Fan-in with eight sessions: what waits for all is queued once, by the last.
SELECT no_plan();
SELECT sessions(8) \gset _
SELECT person('ann') AS ann \gset

-- Every move of a job, with the jobs of step b that the move saw undone.
CREATE TABLE test.seen (n int GENERATED ALWAYS AS IDENTITY, media uuid, step text, new text, undone int);
CREATE FUNCTION test.see() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO test.seen (media, step, new, undone) VALUES (NEW.media_id, NEW.step, NEW.state,
    (SELECT count(*) FROM media.jobs WHERE media_id = NEW.media_id AND step = 'b' AND state <> 'succeeded'));
  RETURN NULL;
END $$;
CREATE TRIGGER seen AFTER UPDATE OF state ON media.jobs FOR EACH ROW WHEN (NEW.state <> OLD.state) EXECUTE FUNCTION test.see();

CREATE TABLE test.ends (session int, job uuid, code text);
CREATE PROCEDURE test.work(p_session int) LANGUAGE plpgsql AS $$
DECLARE
  v_job record;
BEGIN
  PERFORM test.gate();
  LOOP
    COMMIT;
    SELECT id, fence INTO v_job FROM media.job_claim('long', 'w' || p_session, 30, '{b}');
    EXIT WHEN NOT FOUND;
    COMMIT;
    INSERT INTO test.ends SELECT p_session, v_job.id, code FROM media.job_finish(v_job.id, v_job.fence, '{}');
  END LOOP;
END $$;
SELECT media(:'ann', 'chain') AS film, media(:'ann', 'chain') AS other \gset
SELECT fan(:'film', 40), fan(:'other', 40) \gset _
SELECT is(race(8, 'CALL test.work(%s)'), array_fill('CALL'::text, ARRAY[8]), 'eight workers');
SELECT is((SELECT count(DISTINCT job)::int FROM ends WHERE code = 'ok'), 80, 'finished 80 jobs');
SELECT is((SELECT count(*)::int FROM ends), 80, 'each once');
SELECT ok((SELECT count(DISTINCT session) > 1 FROM ends), 'more than one worker had a share');
SELECT results_eq($$SELECT new, undone FROM test.seen WHERE step = 'c' ORDER BY n$$, $$VALUES ('queued', 0), ('queued', 0)$$,
  'c of either media was queued once, when none of b was left');
SELECT is((SELECT count(*)::int FROM media.outbox o JOIN media.jobs j ON j.id = o.job_id WHERE j.step = 'c'), 2, 'and announced once');

-- The last two finish at the same moment, many times over.
TRUNCATE test.seen;
CREATE TABLE test.films AS SELECT n, media(:'ann', 'chain') AS id FROM generate_series(1, 8) n;
SELECT count(fan(id, 8)) FROM films \gset _
UPDATE media.jobs SET state = 'running', lease_until = now() + interval '1h', fence = 1, attempt = 1 WHERE step = 'b' AND state = 'queued';
CREATE PROCEDURE test.end_each(p_session int) LANGUAGE plpgsql AS $$
DECLARE
  v_film uuid;
  v_code text;
BEGIN
  PERFORM test.gate();
  FOR v_film IN SELECT id FROM test.films ORDER BY n LOOP
    COMMIT;
    SELECT f.code INTO v_code FROM media.jobs j, media.job_finish(j.id, 1, '{}') f
     WHERE j.media_id = v_film AND j.step = 'b' AND j.ordinal = p_session - 1;
    INSERT INTO test.ends VALUES (p_session, NULL, v_code);
  END LOOP;
END $$;
SELECT is(race(8, 'CALL test.end_each(%s)'), array_fill('CALL'::text, ARRAY[8]), 'eight sessions finish the eight jobs of one media, eight times');
SELECT is((SELECT count(*)::int FROM ends WHERE job IS NULL AND code = 'ok'), 64, 'all was well');
SELECT is((SELECT string_agg(new || undone, ' ') FROM seen WHERE step = 'c'), 'queued0 queued0 queued0 queued0 queued0 queued0 queued0 queued0',
  'each c was queued once, when none of b was left');

-- the same with the order fixed
SELECT media(:'ann', 'chain') AS film \gset
SELECT fan(:'film', 2) \gset _
SELECT claim_job(job_id(:'film', 'b', 0)) AS f0, claim_job(job_id(:'film', 'b', 1)) AS f1 \gset
SELECT tell('s1', 'BEGIN') \gset _
SELECT is(ask('s1', format('SELECT code FROM media.job_finish(%L, %s, ''{}'')', job_id(:'film', 'b', 0), :'f0')), 'ok',
  'the first has finished, not committed');
SELECT start('s2', format('SELECT code FROM media.job_finish(%L, %s, ''{}'')', job_id(:'film', 'b', 1), :'f1')) \gset _
SELECT ok(is_blocked('s2'), 'the last waits for it');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(answer('s2'), 'ok', 'the last has finished');
SELECT is((job(:'film', 'c')).state, 'queued', 'c is queued');

-- finish and fail of one attempt at once; a failing and a finishing sibling: the media settles once
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job, claim_job(job_id(:'film', 'work')) AS fence \gset
SELECT is(race(8, format('SELECT code FROM media.job_finish(%L, %s, ''{}'')', :'job', :'fence')), array_fill('ok'::text, ARRAY[8]),
  'one attempt finished eight times at once');
SELECT is(notices(:'film'), 'media.ready', 'its owner is told once');
SELECT media(:'ann') AS film \gset
SELECT job_id(:'film', 'work') AS job, claim_job(job_id(:'film', 'work')) AS fence \gset
SELECT is(race(8, format('SELECT code FROM media.job_fail(%L, %s, false, ''x'', ''x'')', :'job', :'fence')),
  '{failed,lost,lost,lost,lost,lost,lost,lost}'::text[],
  'one attempt failed eight times at once');
SELECT is(notices(:'film'), 'media.failed', 'its owner is told once');
SELECT media(:'ann', 'chain') AS film \gset
SELECT fan(:'film', 8) \gset _
UPDATE media.jobs SET state = 'running', lease_until = now() + interval '1h', fence = 1, attempt = 1 WHERE media_id = :'film' AND step = 'b';
CREATE FUNCTION test.fail_even(p_job media.jobs) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  IF p_job.ordinal % 2 = 0 THEN
    RETURN (SELECT code FROM media.job_fail(p_job.id, 1, false, 'x', 'x'));
  END IF;
  RETURN (SELECT code FROM media.job_finish(p_job.id, 1, '{}'));
END $$;
SELECT is(race(8, format('SELECT test.fail_even(test.job(%L, ''b'', %%s - 1))', :'film')), '{failed,failed,failed,failed,ok,ok,ok,ok}'::text[],
  'four siblings fail, four finish at once');
SELECT is(states(:'film'), 'a:succeeded b:failed b:succeeded b:failed b:succeeded b:failed b:succeeded b:failed b:succeeded c:canceled',
  'c is canceled');
SELECT is(notices(:'film'), 'media.failed', 'the media failed once');
SELECT * FROM finish();
