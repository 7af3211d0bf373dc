-- The states and moves of jobs: what the database enforces is what libmedia's headers say.
SELECT no_plan();
\set jobstate_h `cat "$JOBSTATE_H"`
\set jobmsg_h `cat "$JOBMSG_H"`

-- X(NAME, "text") and X(A, B) of one list of a header
CREATE FUNCTION test.list_body(p_header text, p_list text) RETURNS text LANGUAGE sql AS $$
  SELECT (regexp_match(p_header, '#define ' || p_list || '\(X\)((?:[^\n]*\\\n)+[^\n]*)'))[1]
$$;
CREATE TABLE test.names AS
  SELECT list, x[1] AS name, x[2] AS text FROM (VALUES
    ('jobs', :'jobstate_h', 'MEDIA_JOB_STATES'), ('media', :'jobstate_h', 'MEDIA_MEDIA_STATES'),
    ('queues', :'jobmsg_h', 'MEDIA_QUEUES')) l (list, header, macro),
    regexp_matches(test.list_body(header, macro), 'X\((\w+), "(\w+)"\)', 'g') x;
CREATE TABLE test.moves AS
  SELECT a.text AS old, b.text AS new
    FROM regexp_matches(test.list_body(:'jobstate_h', 'MEDIA_JOB_MOVES'), 'X\((\w+), (\w+)\)', 'g') x
    JOIN test.names a ON a.list = 'jobs' AND a.name = x[1] JOIN test.names b ON b.list = 'jobs' AND b.name = x[2];

SELECT is((SELECT count(*)::int FROM names WHERE list = 'jobs'), 6, 'the header has six job states');
SELECT is((SELECT count(*)::int FROM moves), 13, 'the header has thirteen moves');
SELECT bag_eq('SELECT old, new FROM test.moves', 'SELECT old, new FROM media.job_moves', 'job_moves is MEDIA_JOB_MOVES');

-- values that a CHECK names
CREATE FUNCTION test.allowed(p_table text, p_constraint text) RETURNS SETOF text LANGUAGE sql AS $$
  SELECT x[1] FROM pg_constraint c, regexp_matches(pg_get_constraintdef(c.oid), '''(\w+)''', 'g') x
   WHERE c.conrelid = p_table::regclass AND c.conname = p_constraint
$$;
SELECT bag_eq($$SELECT text FROM test.names WHERE list = 'jobs'$$,
  $$SELECT test.allowed('media.jobs', 'jobs_state_check')$$, 'the states of jobs are MEDIA_JOB_STATES');
SELECT bag_eq($$SELECT text FROM test.names WHERE list = 'media'$$,
  $$SELECT test.allowed('media.media', 'media_state_check')$$, 'the states of media are MEDIA_MEDIA_STATES');
SELECT bag_eq($$SELECT text FROM test.names WHERE list = 'queues'$$,
  $$SELECT test.allowed('media.outbox', 'outbox_queue_check')$$, 'the queues of the outbox are MEDIA_QUEUES');

SELECT person('ann') AS ann \gset
SELECT media(:'ann') AS film \gset
DELETE FROM media.jobs;

-- Puts a job into a state that need not be reachable, then moves it.
CREATE FUNCTION test.move(p_media uuid, p_old text, p_new text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_text text;
BEGIN
  SET LOCAL session_replication_role = replica;     -- no triggers
  INSERT INTO media.jobs (media_id, owner_id, step, queue, state, lease_until)
  VALUES (p_media, p_media, 'move', 'short', p_old, CASE WHEN p_old = 'running' THEN now() END);
  SET LOCAL session_replication_role = origin;
  BEGIN
    UPDATE media.jobs SET state = p_new, lease_until = CASE WHEN p_new = 'running' THEN now() END WHERE step = 'move';
    v_text := 'moved';
  EXCEPTION WHEN check_violation THEN
    v_text := 'refused';
    IF sqlerrm NOT LIKE 'job % may not move from ' || p_old || ' to ' || p_new THEN
      RAISE;
    END IF;
  END;
  DELETE FROM media.jobs WHERE step = 'move';
  RETURN v_text;
END $$;
SELECT is(move(:'film', a.text, b.text),
          CASE WHEN a.text = b.text THEN 'moved'        -- writing the same state is no move
               WHEN EXISTS (SELECT FROM moves m WHERE m.old = a.text AND m.new = b.text) THEN 'moved'
               ELSE 'refused' END, format('%s -> %s', a.text, b.text))
  FROM names a, names b WHERE a.list = 'jobs' AND b.list = 'jobs' ORDER BY a.text, b.text;

-- where a job may start
CREATE FUNCTION test.start_as(p_media uuid, p_state text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO media.jobs (media_id, owner_id, step, queue, state, lease_until)
  VALUES (p_media, p_media, 'start', 'short', p_state, CASE WHEN p_state = 'running' THEN now() END);
  DELETE FROM media.jobs WHERE step = 'start';
  RETURN 'started';
EXCEPTION WHEN check_violation THEN
  RETURN sqlerrm;
END $$;
SELECT is(start_as(:'film', text),
          CASE WHEN text IN ('waiting', 'queued') THEN 'started' ELSE 'a job may not start as ' || text END,
          'a job starting as ' || text)
  FROM names WHERE list = 'jobs';

-- the fence
INSERT INTO media.jobs (media_id, owner_id, step, queue, state, fence) VALUES (:'film', :'ann', 'fence', 'short', 'queued', 5);
SELECT throws_like($$UPDATE media.jobs SET state = 'running', lease_until = now(), fence = 4 WHERE step = 'fence'$$,
  'the fence of job % may not go back', 'the fence does not go back with a move');
SELECT throws_like($$UPDATE media.jobs SET fence = 4 WHERE step = 'fence'$$,
  'the fence of job % may not go back', 'the fence does not go back without a move');
SELECT lives_ok($$UPDATE media.jobs SET fence = 6 WHERE step = 'fence'$$, 'the fence goes up');
SELECT is(claim_job(job_id(:'film', 'fence')), 7::bigint, 'a claim raises the fence by one');
SELECT * FROM finish();
