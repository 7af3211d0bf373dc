-- Who gets which job: priority, fairness, not_before, steps; and never two the same.
SELECT no_plan();
SELECT sessions(8) \gset _
SELECT person('ann') AS ann, person('bob') AS bob, person('cyd') AS cyd \gset
SELECT media(:'ann') AS film_a, media(:'bob') AS film_b, media(:'cyd') AS film_c \gset
DELETE FROM media.jobs;

-- in this order, also within a millisecond
CREATE SEQUENCE test.age;
CREATE FUNCTION test.jobs(p_media uuid, p_count int, p_step text DEFAULT 'work', p_priority int DEFAULT 0) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO media.jobs (id, media_id, owner_id, step, ordinal, queue, state, priority)
  SELECT overlay(media.uuid7()::text PLACING lpad(nextval('test.age')::text, 8, '0') FROM 1)::uuid, m.id, m.owner_id, p_step,
         n + (SELECT count(*) FROM media.jobs WHERE media_id = p_media), 'short', 'queued', p_priority
    FROM media.media m, generate_series(0, p_count - 1) n WHERE m.id = p_media
$$;
CREATE FUNCTION test.next_owner() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := test.claim('work');
BEGIN
  RETURN (SELECT split_part(u.email, '@', 1) FROM media.jobs j JOIN media.users u ON u.id = j.owner_id WHERE j.id = v_id);
END $$;
CREATE FUNCTION test.next_ordinal() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := test.claim('work');
BEGIN
  RETURN (SELECT ordinal FROM media.jobs WHERE id = v_id);
END $$;
-- Claims one after the other, each in a transaction of its own. A worker that is alone is done with a job
-- before it claims the next.
CREATE TABLE test.turns (n int GENERATED ALWAYS AS IDENTITY, owner text);
CREATE PROCEDURE test.turns(p_count int, p_is_alone boolean) LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM test.turns;
  FOR i IN 1 .. p_count LOOP
    INSERT INTO test.turns (owner) VALUES (test.next_owner());
    IF p_is_alone THEN
      UPDATE media.jobs SET state = 'succeeded', lease_until = NULL WHERE state = 'running';
    END IF;
    COMMIT;
  END LOOP;
END $$;
CREATE FUNCTION test.served() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(coalesce(owner, '-'), ' ' ORDER BY n) FROM test.turns $$;

-- what a claim gives
SELECT media(:'ann', 'one', 'a.mp4') AS film \gset
SELECT is_empty($$SELECT * FROM media.job_claim('long', 'w', 30, '{work}')$$, 'no job of that queue');
SELECT is_empty($$SELECT * FROM media.job_claim('short', 'w', 30, '{other}')$$, 'no job of that step');
SELECT is_empty($$SELECT * FROM media.job_claim('short', 'w', 30, '{}')$$, 'no step, no job');
UPDATE media.media SET object_key = 'of/ann/media/' || id || '/original' WHERE id = :'film';
SELECT results_eq($$SELECT *, 'claim' FROM media.job_claim('short', 'w7', 45, '{other,work}')$$,
  format($$SELECT j.id, m.id, 'work', 1, 3, 1::bigint, '{"n": 1, "kept": true}', NULL::text, m.object_key, 100::bigint, 'a.mp4', 'video/mp4',
    m.owner_id, 'req-1', '00-trace', floor(extract(epoch FROM j.created_at))::bigint, 'of/ann/', 'claim'
    FROM media.jobs j JOIN media.media m ON m.id = j.media_id WHERE m.id = %L$$, :'film'), 'what a worker is told');
SELECT results_eq(format('SELECT state, attempt, fence, worker, lease_until = started_at + interval ''45s'', started_at IS NOT NULL
    FROM media.jobs WHERE media_id = %L', :'film'), $$VALUES ('running', 1, 1::bigint, 'w7', true, true)$$, 'what the row says');
SELECT is(next_owner(), NULL, 'it is given once');
DELETE FROM media.jobs;

-- not_before
SELECT jobs(:'film_a', 1) \gset _
UPDATE media.jobs SET not_before = now() + interval '1s';
SELECT is(next_owner(), NULL, 'not before its time');
UPDATE media.jobs SET not_before = now() - interval '1ms';
SELECT is(next_owner(), 'ann', 'but then');
DELETE FROM media.jobs;

SELECT jobs(:'film_a', 2), jobs(:'film_a', 1, 'other', 9) \gset _
UPDATE media.jobs SET not_before = now() + interval '1h', priority = 5 WHERE id = (SELECT min(id::text)::uuid FROM media.jobs WHERE step = 'work');
SELECT is(next_owner(), 'ann', 'what is due, though better jobs are not');
SELECT results_eq($$SELECT step, priority FROM media.jobs WHERE state = 'running'$$, $$VALUES ('work', 0)$$, 'and of a step that was asked for');
SELECT is(next_owner(), NULL, 'no other');
DELETE FROM media.jobs;

-- priority, then age
SELECT jobs(:'film_a', 2, p_priority => 0), jobs(:'film_a', 2, p_priority => 5), jobs(:'film_b', 2, p_priority => 3) \gset _
CALL turns(6, true);
SELECT is(served(), 'ann ann bob bob ann ann', 'a higher priority first, whoever has it');
DELETE FROM media.jobs;
INSERT INTO media.jobs (id, media_id, owner_id, step, ordinal, queue, state)
  SELECT overlay(media.uuid7()::text PLACING lpad(n::text, 4, '0') FROM 1)::uuid, :'film_a', :'ann', 'work', n, 'short', 'queued'
    FROM unnest(ARRAY[3, 1, 2]) n;
SELECT is(next_ordinal(), n, 'the oldest first: ' || n) FROM generate_series(1, 3) n;
DELETE FROM media.jobs;

-- fairness: ann came first with a thousand
SELECT jobs(:'film_a', 1000) \gset _
SELECT jobs(:'film_b', 3) \gset _
SELECT jobs(:'film_c', 1) \gset _
CALL turns(8, false);
SELECT is(served(), 'ann bob cyd ann bob ann bob ann', 'many workers: fewest running first');
UPDATE media.jobs SET state = 'succeeded', lease_until = NULL WHERE state = 'running';
SELECT jobs(:'film_b', 2) \gset _
SELECT jobs(:'film_c', 1) \gset _
CALL turns(7, true);
SELECT is(served(), 'cyd bob ann bob ann ann ann', 'one worker: who was served longest ago is next');
SELECT jobs(:'film_b', 1) \gset _
CALL turns(2, true);
SELECT is(served(), 'bob ann', 'one worker: who comes back need not wait for a thousand others');
SELECT jobs(:'film_b', 1, p_priority => -1) \gset _
CALL turns(1, true);
SELECT is(served(), 'ann', 'but fairness does not beat priority');
DELETE FROM media.jobs;

-- a locked job is passed by, not waited for
SELECT jobs(:'film_a', 2) \gset _
SELECT jobs(:'film_b', 1) \gset _
SELECT tell('s1', 'BEGIN'), tell('s2', 'SET lock_timeout = ''5s''') \gset _
SELECT ask('s1', 'SELECT test.claim(''work'')::text') AS first, ask('s2', 'SELECT test.claim(''work'')::text') AS second, claim('work') AS third \gset
SELECT ok(:'first'::uuid <> :'second'::uuid AND :'third'::uuid NOT IN (:'first', :'second'), 'three claims, the first not committed: three jobs');
SELECT is(ask('s2', 'SELECT coalesce(test.claim(''work'')::text, ''none'')'), 'none', 'and then none');
SELECT tell('s1', 'ROLLBACK') \gset _
SELECT is(ask('s2', 'SELECT test.claim(''work'')::text'), :'first', 'a claim that was taken back leaves the job to others');
DELETE FROM media.jobs;

-- eight workers, three owners, 240 jobs
SELECT jobs(:'film_a', 200) \gset _
SELECT jobs(:'film_b', 30) \gset _
SELECT jobs(:'film_c', 10) \gset _
CREATE TABLE test.got (session int, job uuid);
CREATE PROCEDURE test.claim_all(p_session int) LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid;
BEGIN
  PERFORM test.gate();
  LOOP
    COMMIT;
    v_id := test.claim('work');
    EXIT WHEN v_id IS NULL;
    INSERT INTO test.got (session, job) VALUES (p_session, v_id);
  END LOOP;
END $$;
SELECT is(race(8, 'CALL test.claim_all(%s)'), array_fill('CALL'::text, ARRAY[8]), 'eight workers at once');
SELECT is((SELECT count(*)::int FROM got), 240, 'every job is handed out');
SELECT is((SELECT count(DISTINCT job)::int FROM got), 240, 'none twice');
SELECT is((SELECT count(*)::int FROM media.jobs WHERE state = 'running' AND attempt = 1 AND fence = 1), 240, 'each row saw one claim');
SELECT ok((SELECT count(DISTINCT session) > 1 FROM got), 'more than one worker had a share');
-- by the time of the claim: who made it may come to write it down much later
SELECT ok((SELECT count(*) < 130 FROM media.jobs WHERE started_at < (SELECT max(started_at) FROM media.jobs WHERE owner_id <> :'ann')),
  'who has little is done long before who has much');
SELECT * FROM finish();
