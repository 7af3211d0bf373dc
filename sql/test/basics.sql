-- Ids, messages, params and how functions are declared.
SELECT no_plan();

-- uuid7
CREATE TABLE test.ids (n int, id uuid, early timestamptz, late timestamptz);
DO $$
DECLARE
  v_start timestamptz := clock_timestamp();
  v_early timestamptz;
  v_n int := 0;
BEGIN
  WHILE v_n < 1000 OR clock_timestamp() < v_start + interval '20ms' LOOP
    v_early := clock_timestamp();
    INSERT INTO test.ids VALUES (v_n, media.uuid7(), v_early, clock_timestamp());
    v_n := v_n + 1;
  END LOOP;
END $$;
CREATE FUNCTION test.uuid_ms(p_id uuid) RETURNS bigint LANGUAGE sql AS $$
  SELECT ('x' || left(replace(p_id::text, '-', ''), 12))::bit(48)::bigint
$$;
SELECT is((SELECT count(DISTINCT id) FROM ids), (SELECT count(*) FROM ids), 'uuid7: no two alike');
SELECT is((SELECT count(*)::int FROM ids WHERE id::text !~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'),
  0, 'uuid7: version 7, variant of RFC 9562');
SELECT is((SELECT count(*)::int FROM ids WHERE uuid_ms(id) NOT BETWEEN floor(extract(epoch FROM early) * 1000)
                                                                     AND ceil(extract(epoch FROM late) * 1000)),
  0, 'uuid7: begins with the milliseconds of its time');
SELECT ok((SELECT count(DISTINCT uuid_ms(id)) > 10 FROM ids), 'uuid7: many milliseconds are in this test');
SELECT is_empty('SELECT 1 FROM test.ids a JOIN test.ids b ON b.n = a.n + 1 AND b.id < a.id AND test.uuid_ms(a.id) <> test.uuid_ms(b.id)',
  'uuid7: sorts by time');
SELECT ok((SELECT count(DISTINCT substr(id::text, 16)) = count(*) FROM ids), 'uuid7: the rest is random');

-- job_message: what media_jobmsg_write() makes
\set vector `cat "$JOBMSG_JSON"`
\set vector_bytes `wc -c <"$JOBMSG_JSON"`
SELECT is(media.job_message('0190c0de-0000-7000-8000-000000000001', 'req-"1\"',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'), :'vector', 'job_message: jobmsg.json');
SELECT is(octet_length(media.job_message('0190c0de-0000-7000-8000-000000000001', 'req-"1\"',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01')), :vector_bytes, 'job_message: to the byte');
SELECT is(media.job_message('0190c0de-0000-7000-8000-000000000001', v, v),
    '{"v":1,"job_id":"0190c0de-0000-7000-8000-000000000001"}', 'job_message: empty members are left out')
  FROM unnest(ARRAY['', NULL]) v;

-- params_fault: null is good
CREATE FUNCTION test.fault(p_params jsonb, p_pipeline text DEFAULT 'one') RETURNS text LANGUAGE sql AS
  'SELECT media.params_fault(p_pipeline, p_params)';
SELECT is(fault(p), NULL, 'params: good ' || coalesce(p::text, 'null')) FROM unnest(ARRAY[NULL, '{}', '{"n": 1}', '{"n": 10}',
  '{"n": 1e1}', '{"x": -0.5}', '{"x": 0.5, "b": false}', '{"b": true}', '{"e": "p"}', '{"e": 7}', '{"free": [1, {"a": null}]}']::jsonb[]) p;
SELECT is(fault(p::jsonb), f, 'params: bad ' || p) FROM (VALUES
  ('[]', 'params must be a JSON object'), ('"n"', 'params must be a JSON object'), ('null', 'params must be a JSON object'),
  ('{"m": 1}', 'params.m: unknown to pipeline one'),
  ('{"N": 1}', 'params.N: unknown to pipeline one'),
  ('{"n": 0}', 'params.n: 0 is outside 1..10'), ('{"n": 11}', 'params.n: 11 is outside 1..10'),
  ('{"n": 1e400}', 'params.n: 1' || repeat('0', 400) || ' is outside 1..10'),
  ('{"n": 1.5}', 'params.n: must be a whole number'),
  ('{"n": 2.0}', 'params.n: must be a whole number'),        -- a JSON reader in C tells 2.0 from 2
  ('{"n": "1"}', 'params.n: must be a number'), ('{"n": null}', 'params.n: must be a number'),
  ('{"n": [1]}', 'params.n: must be a number'), ('{"n": true}', 'params.n: must be a number'),
  ('{"x": 0.51}', 'params.x: 0.51 is outside -0.5..0.5'), ('{"x": "0"}', 'params.x: must be a number'),
  ('{"b": 1}', 'params.b: must be true or false'), ('{"b": "true"}', 'params.b: must be true or false'),
  ('{"b": null}', 'params.b: must be true or false'),
  ('{"e": "r"}', 'params.e: "r" is not one of ["p", "q", 7]'), ('{"e": "7"}', 'params.e: "7" is not one of ["p", "q", 7]'),
  ('{"e": []}', 'params.e: [] is not one of ["p", "q", 7]'), ('{"e": ["p"]}', 'params.e: ["p"] is not one of ["p", "q", 7]'),
  ('{"e": null}', 'params.e: null is not one of ["p", "q", 7]'), ('{"e": {}}', 'params.e: {} is not one of ["p", "q", 7]'),
  ('{"n": 0, "e": "r"}', 'params.e: "r" is not one of ["p", "q", 7]')) t (p, f);
SELECT is(fault('{"n": 50}', 'chain'), NULL, 'params: good for every step that knows it');
SELECT is(fault('{"n": 51}', 'chain'), 'params.n: 51 is outside 1..50', 'params: bad for one of two steps');
SELECT is(fault('{"n": 101}', 'chain'), 'params.n: 101 is outside 1..100', 'params: bad for both steps');
SELECT ok(length(fault(jsonb_build_object(repeat('n', 5000), 1))) < 200, 'params: a long name is cut');
SELECT ok(length(fault(jsonb_build_object('e', repeat('n', 5000)))) < 200, 'params: a long value is cut');
SELECT is(fault('{"n": 1}', 'none'), 'params.n: unknown to pipeline none', 'params: a pipeline without steps knows none');
SELECT is(fault(p, 'audio'), NULL, 'params: audio takes ' || p::text) FROM unnest(ARRAY['{}', '{"format": "opus", "bitrate": 96}',
  '{"quality": 2.5, "channels": 1, "sample_rate": 48000, "cover": "drop"}']::jsonb[]) p;
SELECT isnt(fault(p, 'audio'), NULL, 'params: audio refuses ' || p::text) FROM unnest(ARRAY['{"format": "exe"}', '{"bitrate": 7}',
  '{"channels": 9}', '{"cover": true}', '{"format": ["mp3"]}']::jsonb[]) p;

-- step_params
SELECT is(media.step_params(s, '{"n": 5, "e": "p", "other": 1}'), '{"n": 5, "kept": true, "e": "p"}',
  'step_params: defaults, then what was set and the step knows') FROM media.pipeline_steps s WHERE step = 'work';
SELECT is(media.step_params(s, '{}'), '{"n": 1, "kept": true}', 'step_params: defaults') FROM media.pipeline_steps s WHERE step = 'work';

SELECT is(media.iso8601('2024-05-06 07:08:09.0125+02'), '2024-05-06T05:08:09.012Z', 'iso8601: UTC, milliseconds');
SELECT is(media.object_grace(), interval '60s', 'object_grace: a minute');
SET media.object_grace = '5s';
SELECT is(media.object_grace(), interval '5s', 'object_grace: can be set');
RESET media.object_grace;

-- how functions are declared
SELECT is_empty($$SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = 'media'::regnamespace
                   AND NOT coalesce(proconfig, '{}') && '{"search_path=media, pg_temp",search_path=pg_catalog}'$$,
  'every function has a search path of its own, temporary tables last');
SELECT is_empty($$SELECT a.oid::regprocedure::text FROM pg_proc a JOIN pg_proc b USING (pronamespace, proname)
                   WHERE a.pronamespace = 'media'::regnamespace AND a.oid <> b.oid$$, 'no function is overloaded');
SELECT * FROM finish();
