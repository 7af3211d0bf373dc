-- What upload, job and operator functions share. Called by owners of the
-- schema only; no program has EXECUTE on these.
--
-- Lock order everywhere: the media row, then its jobs. A claim locks one job
-- and nothing else.

-- The text that libmedia's media_jobmsg_write() makes.
CREATE FUNCTION media.job_message(job_id uuid, request_id text, traceparent text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT '{"v":1,"job_id":' || to_json(job_id::text)
         || coalesce(',"request_id":' || to_json(nullif(request_id, '')), '')
         || coalesce(',"traceparent":' || to_json(nullif(traceparent, '')), '') || '}'
$$;

-- Makes the outbox row of a queued job; returns what the caller may publish now.
CREATE FUNCTION media.job_announce(p_job media.jobs) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_message text;
  v_id bigint;
BEGIN
  SELECT job_message(p_job.id, m.request_id, m.traceparent) INTO v_message
    FROM media m WHERE m.id = p_job.media_id;
  INSERT INTO outbox (queue, job_id, message) VALUES (p_job.queue, p_job.id, v_message)
    RETURNING id INTO v_id;
  UPDATE jobs SET announced_at = now() WHERE id = p_job.id;
  RETURN jsonb_build_array(jsonb_build_object('id', v_id::text, 'queue', p_job.queue, 'message', v_message));
END $$;

-- A message for people who watch the dead queue; carries the cause.
CREATE FUNCTION media.job_dead_letter(p_job media.jobs) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_message text;
  v_id bigint;
BEGIN
  v_message := jsonb_build_object('v', 1, 'job_id', p_job.id, 'media_id', p_job.media_id, 'step', p_job.step,
                                  'attempt', p_job.attempt, 'error', jsonb_build_object(
                                  'code', p_job.error_code, 'detail', p_job.error_detail))::text;
  INSERT INTO outbox (queue, job_id, message) VALUES ('dead', p_job.id, v_message) RETURNING id INTO v_id;
  RETURN jsonb_build_array(jsonb_build_object('id', v_id::text, 'queue', 'dead', 'message', v_message));
END $$;

-- How long a loser of a fence may still be writing before its objects are removed:
-- longer than a worker needs to notice. ALTER DATABASE ... SET media.object_grace changes it.
CREATE FUNCTION media.object_grace() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT coalesce(nullif(current_setting('media.object_grace', true), ''), '60s')::interval
$$;

-- What an upload may set: null, or why not.
CREATE FUNCTION media.params_fault(p_pipeline text, p_params jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_name text;
  v_value jsonb;
  v_rule jsonb;
BEGIN
  IF p_params IS NULL THEN
    RETURN NULL;
  END IF;
  IF jsonb_typeof(p_params) <> 'object' THEN
    RETURN 'params must be a JSON object';
  END IF;
  FOR v_name, v_value, v_rule IN      -- every step that knows the name has its say
    SELECT p.key, p.value, s.params_schema -> p.key FROM jsonb_each(p_params) p
      LEFT JOIN pipeline_steps s ON s.pipeline = p_pipeline AND s.params_schema ? p.key ORDER BY p.key, s.step
  LOOP
    IF v_rule IS NULL THEN
      RETURN format('params.%s: unknown to pipeline %s', left(v_name, 64), p_pipeline);
    END IF;
    IF v_rule ? 'enum' AND NOT EXISTS (SELECT FROM jsonb_array_elements(v_rule -> 'enum') e WHERE e = v_value) THEN
      RETURN format('params.%s: %s is not one of %s', v_name, left(v_value::text, 64), v_rule -> 'enum');
    END IF;
    IF v_rule ->> 'type' = 'boolean' AND jsonb_typeof(v_value) <> 'boolean' THEN
      RETURN format('params.%s: must be true or false', v_name);
    END IF;
    IF v_rule ->> 'type' IN ('integer', 'number') THEN
      IF jsonb_typeof(v_value) <> 'number' THEN
        RETURN format('params.%s: must be a number', v_name);
      END IF;
      IF v_rule ->> 'type' = 'integer' AND scale(v_value::numeric) > 0 THEN      -- nor 2.0: no integer to jansson
        RETURN format('params.%s: must be a whole number', v_name);
      END IF;
      IF v_value::numeric < (v_rule ->> 'min')::numeric OR v_value::numeric > (v_rule ->> 'max')::numeric THEN
        RETURN format('params.%s: %s is outside %s..%s', v_name, v_value, v_rule ->> 'min', v_rule ->> 'max');
      END IF;
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

-- Step defaults, then what the upload set and the step knows.
CREATE FUNCTION media.step_params(p_step media.pipeline_steps, p_params jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = media, pg_temp AS $$
  SELECT p_step.params || coalesce((SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(p_params) e
                                    WHERE p_step.params_schema ? e.key), '{}')
$$;

-- Queues every waiting job whose steps before it are all done. Fan-in is decided
-- here, under the lock on the media row that every caller holds.
CREATE FUNCTION media.media_advance(p_media uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
  v_outbox jsonb := '[]';
BEGIN
  FOR v_job IN
    UPDATE jobs j SET state = 'queued', not_before = now()
     WHERE j.media_id = p_media AND j.state = 'waiting'
       AND NOT EXISTS (
         SELECT FROM unnest(j.depends_on) d
          WHERE NOT EXISTS (SELECT FROM jobs b WHERE b.media_id = p_media AND b.step = d)
             OR EXISTS (SELECT FROM jobs b WHERE b.media_id = p_media AND b.step = d
                           AND b.state <> 'succeeded'))
    RETURNING j.*
  LOOP
    v_outbox := v_outbox || job_announce(v_job);
  END LOOP;
  RETURN v_outbox;
END $$;

CREATE FUNCTION media.iso8601(t timestamptz) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- The output that /download and the mail mean; no row while there is none.
CREATE FUNCTION media.main_output(p_media media.media) RETURNS SETOF media.outputs
LANGUAGE sql STABLE SET search_path = media, pg_temp AS $$
  SELECT o.* FROM outputs o JOIN jobs j ON j.id = o.job_id JOIN pipelines p ON p.name = p_media.pipeline
   WHERE o.media_id = p_media.id AND j.step = p.main_step ORDER BY o.created_at, o.name LIMIT 1
$$;

-- The notification of an event: a job like any other. Everything the mail will
-- say is frozen here, so that a second attempt sends the same mail.
CREATE FUNCTION media.notify_enqueue(p_media media.media, p_event text) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_email text;
  v_job jobs;
  v_output outputs;
BEGIN
  SELECT email INTO v_email FROM users WHERE id = p_media.owner_id AND disabled_at IS NULL;
  IF v_email IS NULL THEN
    RETURN '[]';
  END IF;
  SELECT * INTO v_output FROM main_output(p_media);
  INSERT INTO jobs (media_id, owner_id, step, ordinal, queue, essential, state, max_attempts, params)
  VALUES (p_media.id, p_media.owner_id, 'notify',
          (SELECT coalesce(max(ordinal) + 1, 0) FROM jobs WHERE media_id = p_media.id AND step = 'notify'),
          'notify', false, 'queued', 10,
          jsonb_build_object(
            'event', p_event, 'to', v_email, 'media_id', p_media.id, 'name', p_media.name,
            'title', p_media.title, 'pipeline', p_media.pipeline, 'epoch', p_media.token_epoch,
            'at', floor(extract(epoch FROM now())),
            'output', CASE WHEN v_output.name IS NOT NULL AND p_event = 'media.ready' THEN jsonb_build_object(
               'name', v_output.name, 'content_type', v_output.content_type, 'size', v_output.size_bytes,
               'duration', v_output.duration) END,
            'error', CASE WHEN p_event = 'media.failed' THEN jsonb_build_object(
               'code', p_media.error_code, 'detail', p_media.error_detail) END))
  RETURNING * INTO v_job;
  RETURN job_announce(v_job);
END $$;

-- Cancels what can no longer run (it waits for a step that will not succeed) and,
-- when no essential job is left to do, settles the media and tells its owner.
-- Comes after media_advance(): what waits then while nothing runs waits for ever.
CREATE FUNCTION media.media_settle(p_media uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_media media;
  v_failed jobs;
  v_state text;
BEGIN
  LOOP
    UPDATE jobs j SET state = 'canceled', finished_at = now()
     WHERE j.media_id = p_media AND j.state = 'waiting'
       AND EXISTS (SELECT FROM jobs b WHERE b.media_id = p_media AND b.step = ANY (j.depends_on)
                      AND b.state IN ('failed', 'canceled'));
    EXIT WHEN NOT FOUND;
  END LOOP;
  -- a step that fanned out into nothing, or a pipeline that names a step it does not have
  IF NOT EXISTS (SELECT FROM jobs WHERE media_id = p_media AND essential AND state IN ('queued', 'running')) THEN
    UPDATE jobs SET state = 'canceled', finished_at = now(), error_code = 'pipeline_stuck',
           error_detail = format('the step "%s" waits for a step that will never be done', step)
     WHERE media_id = p_media AND state = 'waiting';
  END IF;
  SELECT * INTO v_media FROM media WHERE id = p_media;
  IF EXISTS (SELECT FROM jobs WHERE media_id = p_media AND essential
                AND state IN ('waiting', 'queued', 'running')) THEN
    v_state := 'processing';
  ELSE
    SELECT * INTO v_failed FROM jobs WHERE media_id = p_media AND essential
        AND (state = 'failed' OR (state = 'canceled' AND error_code = 'pipeline_stuck'))
      ORDER BY finished_at LIMIT 1;
    v_state := CASE WHEN v_failed.id IS NOT NULL THEN 'failed'
                    WHEN EXISTS (SELECT FROM jobs WHERE media_id = p_media AND essential
                                    AND state = 'canceled') THEN 'canceled'
                    ELSE 'ready' END;
  END IF;
  UPDATE media SET revision = revision + 1, state = v_state,
         error_code = v_failed.error_code, error_detail = v_failed.error_detail,
         finished_at = CASE WHEN v_state = 'processing' THEN NULL
                            WHEN v_state = v_media.state THEN finished_at ELSE now() END
   WHERE id = p_media;
  IF v_state = v_media.state OR v_state NOT IN ('ready', 'failed') THEN
    RETURN '[]';
  END IF;
  SELECT * INTO v_media FROM media WHERE id = p_media;
  RETURN notify_enqueue(v_media, 'media.' || v_state);
END $$;

-- The resource of the HTTP contract.
CREATE FUNCTION media.media_json(p media.media) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = media, pg_temp AS $$
  SELECT jsonb_build_object(
    'id', p.id, 'name', p.name, 'title', p.title, 'content_type', p.content_type, 'size', p.size_bytes,
    'digest', jsonb_build_object('sha-256', p.sha256), 'owner', p.owner_id, 'visibility', p.visibility,
    'pipeline', p.pipeline, 'params', p.params, 'state', p.state,
    'progress', coalesce((SELECT round(avg(CASE WHEN j.state = 'succeeded' THEN 1 ELSE j.progress END)::numeric, 4)
                            FROM jobs j WHERE j.media_id = p.id AND j.essential), 1),
    'created_at', iso8601(p.created_at), 'finished_at', iso8601(p.finished_at),
    'error', CASE WHEN p.error_code IS NOT NULL THEN
       jsonb_build_object('code', p.error_code, 'detail', p.error_detail) END,
    'probe', p.probe,
    'jobs', coalesce((SELECT jsonb_agg(jsonb_build_object(
         'id', j.id, 'step', j.step, 'state', j.state, 'progress', round(j.progress::numeric, 4),
         'eta_seconds', round(j.eta_seconds::numeric, 1), 'attempt', j.attempt, 'max_attempts', j.max_attempts,
         'error', CASE WHEN j.error_code IS NOT NULL THEN
            jsonb_build_object('code', j.error_code, 'detail', j.error_detail) END) ORDER BY j.id)
       FROM jobs j WHERE j.media_id = p.id), '[]'),
    'outputs', coalesce((SELECT jsonb_agg(jsonb_build_object(
         'name', o.name, 'kind', o.kind, 'content_type', o.content_type, 'size', o.size_bytes,
         'digest', jsonb_build_object('sha-256', o.sha256), 'width', o.width, 'height', o.height,
         'duration', o.duration, 'bitrate', o.bitrate,
         'href', '/media/' || p.id || '/' || o.name) ORDER BY o.created_at, o.name)
       FROM outputs o WHERE o.media_id = p.id), '[]'))
$$;

-- Makes every object of a media ready for deletion; what a worker is writing, once
-- it has noticed.
CREATE FUNCTION media.media_doom(p_media uuid) RETURNS void
LANGUAGE sql SET search_path = media, pg_temp AS $$
  UPDATE objects SET state = 'doomed',
         retry_at = now() + CASE WHEN state = 'pending' THEN object_grace() ELSE interval '0s' END
   WHERE media_id = p_media AND state <> 'doomed'
$$;
