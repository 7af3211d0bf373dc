-- What the tests of anonymized media need: the worker's part, and what each caller is told.
CREATE FUNCTION test.of_run(p_id uuid, p_step text, p_run int, p_ordinal int DEFAULT 0) RETURNS uuid LANGUAGE sql AS $$
  SELECT id FROM media.jobs WHERE media_id = p_id AND step = p_step AND run = p_run AND ordinal = p_ordinal
$$;

CREATE FUNCTION test.said(p record) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN concat_ws(' ', to_jsonb(p) ->> 'code', to_jsonb(p) ->> 'detail');
END $$;

-- Name, type, size and outputs as somebody sees them.
CREATE FUNCTION test.seen(p_id uuid, p_caller uuid) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', m ->> 'name', coalesce(m ->> 'content_type', '-'), coalesce(m ->> 'size', '-'),
           coalesce((SELECT string_agg(o ->> 'name', ' ' ORDER BY o ->> 'name') FROM jsonb_array_elements(m -> 'outputs') o), 'no outputs'))
    FROM (SELECT media::jsonb FROM media.media_get(p_caller, p_id)) x (m)
$$;

-- What each caller hears who asks for an output.
CREATE FUNCTION test.codes(p_id uuid, p_output text) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(c.who || ':' || c.code, ' ' ORDER BY c.n) FROM (
    SELECT n, who, (SELECT o.code FROM media.media_object(test.who(who), p_id, p_output) o) AS code
      FROM unnest('{ann,bob,nobody}'::text[]) WITH ORDINALITY w (who, n)
    UNION ALL SELECT 4, 'token', (SELECT o.code FROM media.media m, media.play_object(m.id, m.token_epoch, NULL, p_output) o WHERE m.id = p_id)
    UNION ALL SELECT n + 4, who, (SELECT o.code FROM media.media_object(test.who(who), p_id, p_output) o)
      FROM unnest('{op,exop}'::text[]) WITH ORDINALITY w (who, n)) c
$$;

-- The job, which is claimed for it, makes a masked copy and a report: the key of the copy.
CREATE FUNCTION test.masked(p_job uuid, p_name text DEFAULT 'masked.jpg', p_more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_fence bigint;
  v_key text;
BEGIN
  IF (SELECT state FROM media.jobs WHERE id = p_job) = 'queued' THEN
    PERFORM test.claim_job(p_job);
  END IF;
  SELECT fence, id || '/' || fence || '/masked' INTO v_fence, v_key FROM media.jobs WHERE id = p_job;
  PERFORM media.job_object(p_job, v_fence, v_key), media.job_object(p_job, v_fence, v_key || 'r');
  IF test.finish_job(p_job, p_more || jsonb_build_object('outputs', jsonb_build_array(
       test.output(v_key, p_name) || '{"kind": "image", "content_type": "image/jpeg", "size": 7}',
       test.output(v_key || 'r', 'report.json') || '{"kind": "report", "content_type": "application/json"}'))) <> 'ok' THEN
    RAISE 'job % does not finish', p_job;
  END IF;
  RETURN v_key;
END $$;

-- A job detect keeps its findings.
CREATE FUNCTION test.detected(p_media uuid, p_ordinal int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := test.job_id(p_media, 'detect', p_ordinal);
  v_fence bigint := test.claim_job(v_id);
BEGIN
  PERFORM media.job_object(v_id, v_fence, v_id || '/d');
  RETURN test.finish_job(v_id, jsonb_build_object('keep', jsonb_build_array(jsonb_build_object('object_key', v_id || '/d', 'size', 3))));
END $$;

-- A job writes segments of a track, and the track where it is told how many it has.
CREATE FUNCTION test.rendered(p_job uuid, p_numbers int[], p_track text DEFAULT 'masked', p_more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_fence bigint := test.claim_job(p_job);
  v_segments jsonb := '[]';
  v_key text;
BEGIN
  FOR i IN 1 .. cardinality(p_numbers) LOOP
    v_key := format('%s/%s/%s/%s', p_job, v_fence, p_track, p_numbers[i]);
    PERFORM media.job_object(p_job, v_fence, v_key);
    v_segments := v_segments || jsonb_build_object('track', p_track, 'number', p_numbers[i], 'size', 9, 'sha256', repeat('0a', 32),
      'etag', 'e', 'object_key', v_key, 'duration', 40);
  END LOOP;
  RETURN test.finish_job(p_job, p_more || jsonb_build_object('segments', v_segments));
END $$;

CREATE FUNCTION test.voiced(p_job uuid, p_count int) RETURNS text LANGUAGE sql AS $$
  SELECT test.rendered(p_job, ARRAY(SELECT generate_series(0, p_count)), 'masked_sound', jsonb_build_object('tracks', jsonb_build_array(
    jsonb_build_object('name', 'masked_sound', 'segments', p_count, 'info', '{"kind": "audio"}'::jsonb))))
$$;
