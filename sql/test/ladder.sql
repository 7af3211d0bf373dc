-- What an upload may say of its ladder: the same numbers and verdicts as libmedia's media/ladder.h.
SELECT no_plan();
\set vectors `cat "$LADDER_JSON"`
\set ladder_h `cat "$LADDER_H"`
CREATE FUNCTION test.rule(VARIADIC p_path text[]) RETURNS jsonb LANGUAGE sql AS $$
  SELECT params_schema #> p_path FROM media.pipeline_steps WHERE pipeline = 'video' AND step = 'index'
$$;
-- the X(...) of one of the header's lists
CREATE FUNCTION test.listed(p_header text, p_list text) RETURNS SETOF text[] LANGUAGE sql AS $$
  SELECT string_to_array(x[1], ', ') FROM regexp_matches((regexp_match(p_header, '#define ' || p_list || '\(X\)[\s\\]+((?:[^\n]*\\\n)*[^\n]*)'))[1],
                                                         'X\(([^)]*)\)', 'g') x
$$;

SELECT results_eq(format('SELECT x[1], test.rule(x[1]) FROM test.listed(%L, ''MEDIA_LADDER_INTS'') x', :'ladder_h'),
  format($$SELECT x[1], jsonb_build_object('type', 'integer', 'min', x[2]::int, 'max', x[3]::int, 'default', x[4]::int)
             FROM test.listed(%L, 'MEDIA_LADDER_INTS') x$$, :'ladder_h'), 'every number: least, most, default');
SELECT ok((SELECT count(*) >= 9 FROM listed(:'ladder_h', 'MEDIA_LADDER_INTS')), 'they are many');
SELECT is(rule('preset', 'enum'), (SELECT jsonb_agg(x[1]) FROM listed(:'ladder_h', 'MEDIA_LADDER_PRESETS') x), 'presets');
SELECT is(rule('profile', 'enum'), (SELECT jsonb_agg(x[1]) FROM listed(:'ladder_h', 'MEDIA_LADDER_PROFILES') x), 'profiles');
SELECT is(rule('remux', 'enum'), (SELECT jsonb_agg(x[1]) FROM listed(:'ladder_h', 'MEDIA_LADDER_REMUXES') x), 'whether to remux');
SELECT is(rule('rungs', 'items', 'any', '0', 'enum'), (SELECT jsonb_agg(x[1]::int) FROM listed(:'ladder_h', 'MEDIA_LADDER_RUNGS') x), 'heights of the table');
SELECT is(rule('rungs', 'items', 'any', '1', 'members', 'height', 'enum'), rule('rungs', 'items', 'any', '0', 'enum'), 'the same for objects');
SELECT is(rule('rungs', 'default'), (SELECT jsonb_agg(x[1]::int) FROM listed(:'ladder_h', 'MEDIA_LADDER_RUNGS') x WHERE x[4] = '1'), 'the default ladder');
SELECT is(rule('rungs', 'max') #>> '{}', (regexp_match(:'ladder_h', 'MEDIA_LADDER_MAX (\d+)'))[1], 'how many rungs');
SELECT is(rule('rungs', 'items', 'any', n, 'members') - k,
    (SELECT jsonb_object_agg(x[1], jsonb_build_object('type', 'integer', 'min', x[2]::int, 'max', x[3]::int))
    FROM listed(:'ladder_h', 'MEDIA_LADDER_RUNG_INTS') x) - k, 'numbers of a rung')
  FROM (VALUES ('1', 'height'), ('2', '')) t (n, k);
SELECT is((SELECT array_agg(k ORDER BY k COLLATE "C") FROM jsonb_object_keys(rule(VARIADIC '{}')) k), (SELECT array_agg(k ORDER BY k COLLATE "C") FROM (
    SELECT x[1] FROM listed(:'ladder_h', 'MEDIA_LADDER_INTS') x UNION SELECT unnest('{preset,profile,remux,rungs}'::text[])) n (k)), 'and no other');

-- libmedia's test walks the same
SELECT is(media.params_fault('video', v), NULL, 'accepted: ' || v::text) FROM jsonb_array_elements(:'vectors'::jsonb -> 'accepted') v;
SELECT ok(media.params_fault('video', v) IS NOT NULL, 'refused: ' || v::text) FROM jsonb_array_elements(:'vectors'::jsonb -> 'refused') v;

-- in words
SELECT is(media.params_fault('video', p), f, f) FROM (VALUES
  ('{"rungs": 720}'::jsonb, 'params.rungs: must be a list'),
  ('{"rungs": []}', 'params.rungs: 0 entries, allowed are 1..12'),
  ('{"rungs": [720, 500]}', 'params.rungs[1]: 500 is not one of [144, 240, 360, 480, 720, 1080, 1440, 2160]'),
  ('{"rungs": ["720p"]}', 'params.rungs[0]: must be a number'),
  ('{"rungs": [144, 720, {"height": 720}]}', 'params.rungs[2]: height 720 occurs twice'),
  ('{"rungs": [{"height": 500}]}', 'params.rungs[0].kbps: is missing'),
  ('{"rungs": [{"kbps": 500}]}', 'params.rungs[0].height: is missing'),
  ('{"rungs": [{"height": 720, "crf": 52}]}', 'params.rungs[0].crf: 52 is outside 0..51'),
  ('{"rungs": [{"height": 720, "kbps": "1"}]}', 'params.rungs[0].kbps: must be a number'),
  ('{"rungs": [{"height": 720, "kpbs": 1}]}', 'params.rungs[0].kpbs: unknown'),
  ('{"crf": 23.5}', 'params.crf: must be a whole number'),
  ('{"ladder": 1}', 'params.ladder: unknown to pipeline video')) t (p, f);
SELECT is(media.params_fault('video', '{"crf": 20}', 'package'), 'params.crf: unknown to pipeline video, step package', 'of one step');
SELECT * FROM finish();
