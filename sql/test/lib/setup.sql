-- What every test file finds in its database: pgTAP and dblink (schema tap), pipelines, fixtures (schema test).
-- None is STABLE: a reader sees what a call beside it in the same statement has done.
CREATE SCHEMA tap;
CREATE SCHEMA test;
GRANT USAGE ON SCHEMA tap, test TO PUBLIC;
CREATE EXTENSION pgtap SCHEMA tap;
CREATE EXTENSION dblink SCHEMA tap;
SET search_path = tap, test;

INSERT INTO media.pipelines (name, description, main_steps) VALUES
  ('one', 'one step', '{work}'),
  ('chain', 'a, many b, c', '{c}'),
  ('line', 'x, y, z', '{z}'),
  ('none', 'nothing to do', '{nothing}'),
  ('typo', 'waits for a step that is not there', '{late}'),
  ('ring', 'each waits for the other', '{p}');
INSERT INTO media.pipeline_steps (pipeline, step, queue, depends_on, fan_out, params, params_schema) VALUES
  ('one', 'work', 'short', '{}', false, '{"n": 1, "kept": true}',
   '{"n": {"type": "integer", "min": 1, "max": 10}, "x": {"type": "number", "min": -0.5, "max": 0.5},
     "b": {"type": "boolean"}, "e": {"enum": ["p", "q", 7]}, "free": {}}'),
  ('chain', 'a', 'short', '{}', false, '{}', '{"n": {"type": "integer", "min": 1, "max": 100}}'),
  ('chain', 'b', 'long', '{a}', true, '{}', '{"n": {"type": "integer", "min": 1, "max": 50}}'),
  ('chain', 'c', 'short', '{b}', false, '{}', '{}'),
  ('line', 'x', 'short', '{}', false, '{}', '{}'),
  ('line', 'y', 'short', '{x}', false, '{}', '{}'),
  ('line', 'z', 'short', '{y}', false, '{}', '{}'),
  ('typo', 'early', 'short', '{}', false, '{}', '{}'),
  ('typo', 'late', 'short', '{erly}', false, '{}', '{}'),
  ('ring', 'p', 'short', '{q}', false, '{}', '{}'),
  ('ring', 'q', 'short', '{p}', false, '{}', '{}');

CREATE FUNCTION test.person(p_name text, p_quota bigint DEFAULT NULL, p_uploads int DEFAULT NULL) RETURNS uuid
LANGUAGE sql AS $$
  INSERT INTO media.users (email, password_hash, quota_bytes, quota_uploads)
  VALUES (p_name || '@example.test', '$y$hash', p_quota, p_uploads) RETURNING id
$$;

CREATE FUNCTION test.who(p_name text) RETURNS uuid LANGUAGE sql AS $$
  SELECT id FROM media.users WHERE email = p_name || '@example.test'
$$;

-- p_size null: nobody knows how long the file is.
CREATE FUNCTION test.opened(p_id uuid, p_owner uuid, p_size bigint DEFAULT 100, p_pipeline text DEFAULT 'one',
                            p_params jsonb DEFAULT NULL, p_name text DEFAULT 'film.mp4',
                            p_no_replace boolean DEFAULT false, p_key text DEFAULT NULL, p_sha256 text DEFAULT NULL,
                            p_title text DEFAULT 'A film', p_visibility text DEFAULT NULL,
                            p_least bigint DEFAULT 0, p_most bigint DEFAULT NULL)
RETURNS TABLE (code text, detail text, members text, reserved bigint, media_id uuid, size bigint, media text)
LANGUAGE sql AS $$
  SELECT * FROM media.upload_open(p_id, p_owner, 'original/' || p_id, p_name, p_title, p_visibility, p_pipeline,
    p_params, coalesce(p_size, p_least), coalesce(p_size, p_most), p_sha256, 'req-1', p_no_replace, p_key, NULL, NULL)
$$;

CREATE FUNCTION test.open(p_id uuid, p_owner uuid, p_size bigint DEFAULT 100, p_pipeline text DEFAULT 'one',
                          p_params jsonb DEFAULT NULL, p_name text DEFAULT 'film.mp4',
                          p_no_replace boolean DEFAULT false, p_key text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
  SELECT code FROM test.opened(p_id, p_owner, p_size, p_pipeline, p_params, p_name, p_no_replace, p_key)
$$;

CREATE FUNCTION test.close(p_id uuid, p_pipeline text DEFAULT 'one', p_size bigint DEFAULT 100,
                           p_params jsonb DEFAULT NULL, p_name text DEFAULT 'film.mp4',
                           p_visibility text DEFAULT NULL)
RETURNS TABLE (code text, detail text, media text, outbox text) LANGUAGE sql AS $$
  SELECT * FROM media.upload_commit(p_id, p_name, 'A film', 'video/mp4', p_size, repeat('ab', 32), '"etag"',
                                    p_pipeline, p_params, p_visibility, 'req-1', '00-trace')
$$;

-- A login of whoever it is: the sid. A refresh token is known by the letter its digest is made of.
CREATE FUNCTION test.login(p_user uuid, p_letter text DEFAULT NULL, p_ttl_s int DEFAULT 60) RETURNS uuid LANGUAGE sql AS $$
  SELECT o.sid FROM media.users u, media.session_open(u.id, media.user_version(u), repeat(p_letter, 64), p_ttl_s) o
   WHERE u.id = p_user
$$;

-- An upload from its first byte to its commit.
CREATE FUNCTION test.media(p_owner uuid, p_pipeline text DEFAULT 'one', p_name text DEFAULT 'film.mp4') RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := media.uuid7();
  v_code text;
BEGIN
  v_code := test.open(v_id, p_owner);
  IF v_code = 'ok' THEN
    v_code := (SELECT code FROM test.close(v_id, p_pipeline, p_name => p_name));
  END IF;
  IF v_code <> 'ok' THEN
    RAISE 'no media: %', v_code;
  END IF;
  RETURN v_id;
END $$;

CREATE FUNCTION test.job(p_media uuid, p_step text, p_ordinal int DEFAULT 0) RETURNS media.jobs LANGUAGE sql AS $$
  SELECT * FROM media.jobs WHERE media_id = p_media AND step = p_step AND ordinal = p_ordinal
$$;

CREATE FUNCTION test.job_id(p_media uuid, p_step text, p_ordinal int DEFAULT 0) RETURNS uuid LANGUAGE sql AS $$
  SELECT id FROM media.jobs WHERE media_id = p_media AND step = p_step AND ordinal = p_ordinal
$$;

CREATE FUNCTION test.states(p_media uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(step || ':' || state, ' ' ORDER BY step, ordinal) FROM media.jobs
   WHERE media_id = p_media AND step <> 'notify'
$$;

CREATE FUNCTION test.claim(VARIADIC p_steps text[]) RETURNS uuid LANGUAGE sql AS $$
  SELECT coalesce((SELECT id FROM media.job_claim('short', 'w1', 30, p_steps)),
                  (SELECT id FROM media.job_claim('long', 'w1', 30, p_steps)))
$$;

-- Claims exactly this job: makes it the best of its queue first.
CREATE FUNCTION test.claim_job(p_id uuid) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_got record;
BEGIN
  UPDATE media.jobs SET priority = 1000, not_before = now() WHERE id = p_id;
  SELECT c.* INTO v_got FROM media.jobs j, media.job_claim(j.queue, 'w1', 30, ARRAY[j.step]) c WHERE j.id = p_id;
  UPDATE media.jobs SET priority = 0 WHERE id = p_id;
  IF v_got.id IS DISTINCT FROM p_id THEN
    RAISE 'job % was not claimed, but %', p_id, v_got.id;
  END IF;
  RETURN v_got.fence;
END $$;

CREATE FUNCTION test.output(p_key text, p_name text DEFAULT 'main.mp3') RETURNS jsonb LANGUAGE sql AS $$
  SELECT jsonb_build_object('name', p_name, 'kind', 'audio', 'content_type', 'audio/mpeg', 'size', 5,
                            'sha256', repeat('cd', 32), 'etag', '"out"', 'object_key', p_key, 'duration', 2.5)
$$;

CREATE FUNCTION test.finish_job(p_id uuid, p_result jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
  SELECT code FROM media.jobs j, media.job_finish(j.id, j.fence, p_result) WHERE j.id = p_id
$$;

CREATE FUNCTION test.fail_job(p_id uuid, p_may_retry boolean DEFAULT false) RETURNS text LANGUAGE sql AS $$
  SELECT code FROM media.jobs j, media.job_fail(j.id, j.fence, p_may_retry, 'bad_input', 'no sound in it')
   WHERE j.id = p_id
$$;

-- Claims, finishes with one output of that name.
CREATE FUNCTION test.done(p_id uuid, p_output text DEFAULT 'main.mp3') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_fence bigint := test.claim_job(p_id);
  v_key text := 'out/' || p_id || '/' || v_fence;
BEGIN
  IF p_output IS NULL THEN
    RETURN test.finish_job(p_id);
  END IF;
  PERFORM media.job_object(p_id, v_fence, v_key);
  RETURN test.finish_job(p_id, jsonb_build_object('outputs', jsonb_build_array(test.output(v_key, p_output))));
END $$;

-- Job a of a chain, its claim and its fan-out into that many b.
CREATE FUNCTION test.fan(p_media uuid, p_count int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_a uuid := test.job_id(p_media, 'a');
BEGIN
  PERFORM test.claim_job(v_a);
  RETURN test.finish_job(v_a, jsonb_build_object('fan_out', (
    SELECT jsonb_agg(jsonb_build_object('step', 'b', 'range', jsonb_build_array(n * 40, n * 40 + 39)) ORDER BY n)
      FROM generate_series(0, p_count - 1) n)));
END $$;

CREATE FUNCTION test.expire(p_id uuid) RETURNS void LANGUAGE sql AS $$
  UPDATE media.jobs SET lease_until = now() - interval '1s' WHERE id = p_id
$$;

CREATE FUNCTION test.object_state(p_key text) RETURNS text LANGUAGE sql AS $$
  SELECT state FROM media.objects WHERE object_key = p_key
$$;

-- Everything a refused call must leave as it was.
CREATE FUNCTION test.everything() RETURNS text LANGUAGE sql AS $$
  SELECT md5(concat(
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.users t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.sessions t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.revocations t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.uploads t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.upload_keys t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.media t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.jobs t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.outputs t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.objects t),
    (SELECT string_agg(t::text, '|' ORDER BY t::text) FROM media.outbox t)))
$$;

CREATE FUNCTION test.notices(p_media uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(params ->> 'event', ' ' ORDER BY ordinal) FROM media.jobs
   WHERE media_id = p_media AND step = 'notify'
$$;
