-- What upload, job and operator functions share. Called by owners of the
-- schema only; no program has EXECUTE on these.
--
-- Lock order everywhere: the media row, then its jobs, objects, messages, each
-- sorted. A claim locks one job and nothing else.
--
-- A media may be run through pipelines again and again, one run at a time. Its
-- state, progress, error and jobs are those of the last run. A run whose pipeline
-- has outputs of an earlier run keeps its own back until it is done; then they
-- take the place of the old ones, all at once.

-- The text that libmedia's media_jobmsg_write() makes.
CREATE FUNCTION media.job_message(job_id uuid, request_id text, traceparent text) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
  RETURN '{"v":1,"job_id":' || to_json(job_id::text)
         || coalesce(',"request_id":' || to_json(nullif(request_id, '')), '')
         || coalesce(',"traceparent":' || to_json(nullif(traceparent, '')), '') || '}';
END $$;

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
  IF p_job.announced_at IS DISTINCT FROM now() THEN
    UPDATE jobs SET announced_at = now() WHERE id = p_job.id;
  END IF;
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

-- What a params_schema says of a value: null, or why it will not do. Rules, nested by `any`, `items`
-- and `members`:
--   {"type": "integer"|"number", "min", "max"}     integer: no 2.0, which jansson calls no integer, either
--   {"type": "boolean"}   {"enum": [...]}   {"type": "string", "pattern", "like": what such a text looks like}
--   {"type": "array", "items": rule, "min", "max": how many, "unique": member}
--   {"type": "object", "members": {name: rule}, "required": [name]}
--   {"any": [rule]}       one of them; told is the fault by the last that is for values of its type
-- "default" is for people: what holds where nobody says anything.
CREATE FUNCTION media.value_fault(p_path text, p_rule jsonb, p_value jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_is text := jsonb_typeof(p_value);
  v_type text := p_rule ->> 'type';
  v_kind text := CASE WHEN v_type = 'integer' THEN 'number' ELSE v_type END;
  v_fault text;
  v_said text;
  v_rule jsonb;
BEGIN
  IF p_rule ? 'any' THEN
    FOR v_rule IN SELECT * FROM jsonb_array_elements(p_rule -> 'any') LOOP
      v_said := value_fault(p_path, v_rule, p_value);
      IF v_said IS NULL THEN
        RETURN NULL;
      END IF;
      IF v_fault IS NULL OR v_is = (CASE v_rule ->> 'type' WHEN 'integer' THEN 'number' ELSE v_rule ->> 'type' END) THEN
        v_fault := v_said;
      END IF;
    END LOOP;
    RETURN v_fault;
  END IF;
  IF v_kind <> v_is THEN
    RETURN format('%s: must be %s', p_path, CASE v_type WHEN 'boolean' THEN 'true or false' WHEN 'array' THEN 'a list'
                                                         WHEN 'object' THEN 'an object' WHEN 'string' THEN 'a text'
                                                         ELSE 'a number' END);
  END IF;
  IF v_kind = 'string' AND p_value #>> '{}' !~ (p_rule ->> 'pattern') THEN
    RETURN format('%s: %s is not like %s', p_path, left(p_value::text, 64), p_rule ->> 'like');
  END IF;
  IF v_type = 'integer' THEN
    IF scale(p_value::numeric) > 0 THEN
      RETURN format('%s: must be a whole number', p_path);
    END IF;
  END IF;
  IF p_rule ? 'enum' AND NOT EXISTS (SELECT FROM jsonb_array_elements(p_rule -> 'enum') e WHERE e = p_value) THEN
    RETURN format('%s: %s is not one of %s', p_path, left(p_value::text, 64), p_rule -> 'enum');
  END IF;
  RETURN CASE v_kind
    WHEN 'number' THEN
      CASE WHEN p_value::numeric < (p_rule ->> 'min')::numeric OR p_value::numeric > (p_rule ->> 'max')::numeric
        THEN format('%s: %s is outside %s..%s', p_path, p_value, p_rule ->> 'min', p_rule ->> 'max') END
    WHEN 'array' THEN list_fault(p_path, p_rule, p_value)
    WHEN 'object' THEN members_fault(p_path, p_rule, p_value) END;
END $$;

CREATE FUNCTION media.list_fault(p_path text, p_rule jsonb, p_list jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_n int := jsonb_array_length(p_list);
  v_item jsonb;
  v_key jsonb;
  v_seen jsonb := '[]';
  v_fault text;
BEGIN
  IF v_n < (p_rule ->> 'min')::int OR v_n > (p_rule ->> 'max')::int THEN
    RETURN format('%s: %s entries, allowed are %s..%s', p_path, v_n, p_rule ->> 'min', p_rule ->> 'max');
  END IF;
  FOR i IN 0 .. v_n - 1 LOOP
    v_item := p_list -> i;
    v_fault := value_fault(format('%s[%s]', p_path, i), p_rule -> 'items', v_item);
    IF v_fault IS NOT NULL THEN
      RETURN v_fault;
    END IF;
    v_key := CASE jsonb_typeof(v_item) WHEN 'object' THEN v_item -> (p_rule ->> 'unique') ELSE v_item END;
    IF p_rule ? 'unique' AND v_seen @> jsonb_build_array(v_key) THEN
      RETURN format('%s[%s]: %s %s occurs twice', p_path, i, p_rule ->> 'unique', v_key);
    END IF;
    v_seen := v_seen || jsonb_build_array(v_key);
  END LOOP;
  RETURN NULL;
END $$;

CREATE FUNCTION media.members_fault(p_path text, p_rule jsonb, p_object jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_name text;
  v_value jsonb;
  v_fault text;
BEGIN
  FOR v_name, v_value IN SELECT * FROM jsonb_each(p_object) ORDER BY 1 LOOP
    v_fault := CASE WHEN p_rule -> 'members' ? v_name
      THEN value_fault(p_path || '.' || v_name, p_rule -> 'members' -> v_name, v_value)
      ELSE format('%s.%s: unknown', p_path, left(v_name, 64)) END;
    IF v_fault IS NOT NULL THEN
      RETURN v_fault;
    END IF;
  END LOOP;
  SELECT r INTO v_name FROM jsonb_array_elements_text(p_rule -> 'required') r WHERE NOT p_object ? r LIMIT 1;
  RETURN CASE WHEN FOUND THEN format('%s.%s: is missing', p_path, v_name) END;
END $$;

-- What an upload may set, of every step or of one: null, or why not.
CREATE FUNCTION media.params_fault(p_pipeline text, p_params jsonb, p_step text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_name text;
  v_value jsonb;
  v_rule jsonb;
  v_fault text;
BEGIN
  IF p_params IS NULL THEN
    RETURN NULL;
  END IF;
  IF jsonb_typeof(p_params) <> 'object' THEN
    RETURN 'params must be a JSON object';
  END IF;
  FOR v_name, v_value, v_rule IN      -- every step that knows the name has its say
    SELECT p.key, p.value, s.params_schema -> p.key FROM jsonb_each(p_params) p
      LEFT JOIN pipeline_steps s ON s.pipeline = p_pipeline AND s.params_schema ? p.key AND s.step = coalesce(p_step, s.step)
     ORDER BY p.key, s.step
  LOOP
    v_fault := CASE WHEN v_rule IS NULL THEN
        format('params.%s: unknown to pipeline %s', left(v_name, 64), p_pipeline || coalesce(', step ' || p_step, ''))
      ELSE value_fault('params.' || v_name, v_rule, v_value) END;
    IF v_fault IS NOT NULL THEN
      RETURN v_fault;
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

-- Step defaults, then what the upload set and the step knows.
CREATE FUNCTION media.step_params(p_step media.pipeline_steps, p_params jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SET search_path = media, pg_temp AS $$
BEGIN
  RETURN p_step.params || coalesce((SELECT jsonb_object_agg(e.key, e.value) FROM jsonb_each(p_params) e
                                    WHERE p_step.params_schema ? e.key), '{}');
END $$;

-- Queues every waiting job whose steps before it are all done. Fan-in is decided
-- here, under the lock on the media row that every caller holds. A step whose jobs
-- another one makes may have made none: it is done with what it depends on, for a
-- job that depends on that, too.
CREATE FUNCTION media.media_advance(p_media uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
  v_outbox jsonb := '[]';
BEGIN
  FOR v_job IN
    UPDATE jobs j SET state = 'queued', not_before = now(), announced_at = now()
     WHERE j.media_id = p_media AND j.state = 'waiting'
       AND NOT EXISTS (
         SELECT FROM unnest(j.depends_on) d
          WHERE NOT EXISTS (SELECT FROM jobs b WHERE b.media_id = p_media AND b.run = j.run AND b.step = d)
                AND NOT EXISTS (SELECT FROM pipeline_steps s WHERE s.pipeline = j.pipeline AND s.step = d AND s.fan_out
                                   AND s.depends_on <@ j.depends_on)
             OR EXISTS (SELECT FROM jobs b WHERE b.media_id = p_media AND b.run = j.run AND b.step = d
                           AND b.state <> 'succeeded'))
    RETURNING j.*
  LOOP
    v_outbox := v_outbox || job_announce(v_job);
  END LOOP;
  RETURN v_outbox;
END $$;

CREATE FUNCTION media.iso8601(t timestamptz) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
BEGIN
  RETURN to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
END $$;

-- The output that /download and the mail mean; no row while there is none.
CREATE FUNCTION media.main_output(p_media media.media) RETURNS SETOF media.outputs
LANGUAGE sql STABLE SET search_path = media, pg_temp AS $$
  SELECT o.* FROM outputs o JOIN jobs j ON j.id = o.job_id JOIN pipelines p ON p.name = j.pipeline
   WHERE o.media_id = p_media.id AND NOT p_media.withdrawn AND j.pipeline = p_media.pipeline AND j.step = ANY (p.main_steps)
   ORDER BY o.created_at, o.name <> 'hls/master.m3u8', o.name LIMIT 1
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
  INSERT INTO jobs (media_id, owner_id, run, step, ordinal, queue, essential, input, state, max_attempts, params)
  VALUES (p_media.id, p_media.owner_id, p_media.run, 'notify',
          (SELECT coalesce(max(ordinal) + 1, 0) FROM jobs WHERE media_id = p_media.id AND step = 'notify'),
          'notify', false, 'none', 'queued', 10,
          jsonb_build_object(
            'event', p_event, 'to', v_email, 'media_id', p_media.id, 'name', (media_seen(p_media, NULL)).name,
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

-- Deletes the messages of jobs that are about to go.
CREATE FUNCTION media.outbox_drop(p_jobs uuid[]) RETURNS void
LANGUAGE sql SET search_path = media, pg_temp AS $$
  DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE job_id = ANY (p_jobs) ORDER BY id FOR UPDATE)
$$;

-- Deletes settled jobs with their outputs; what they wrote becomes ready for deletion.
CREATE FUNCTION media.jobs_drop(p_jobs uuid[]) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE objects SET state = 'doomed', retry_at = now() WHERE object_key IN (
    SELECT object_key FROM objects WHERE job_id = ANY (p_jobs) AND state = 'live' ORDER BY object_key FOR UPDATE);
  PERFORM outbox_drop(p_jobs);
  DELETE FROM jobs WHERE id = ANY (p_jobs);
END $$;

-- Names an output of a job; what had that name before becomes ready for deletion.
CREATE FUNCTION media.output_put(p_job media.jobs, p_output jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE objects SET state = 'doomed', retry_at = now() WHERE object_key = (
    SELECT o.object_key FROM outputs o WHERE o.media_id = p_job.media_id AND o.name = p_output ->> 'name');
  INSERT INTO outputs AS o (media_id, name, job_id, kind, content_type, size_bytes, sha256, etag, object_key,
                            width, height, duration, bitrate)
  VALUES (p_job.media_id, p_output ->> 'name', p_job.id, p_output ->> 'kind', p_output ->> 'content_type',
          (p_output ->> 'size')::bigint, p_output ->> 'sha256', p_output ->> 'etag', p_output ->> 'object_key',
          (p_output ->> 'width')::int, (p_output ->> 'height')::int, (p_output ->> 'duration')::double precision,
          (p_output ->> 'bitrate')::bigint)
  ON CONFLICT ON CONSTRAINT outputs_pkey DO UPDATE SET
    job_id = excluded.job_id, kind = excluded.kind, content_type = excluded.content_type,
    size_bytes = excluded.size_bytes, sha256 = excluded.sha256, etag = excluded.etag,
    object_key = excluded.object_key, width = excluded.width, height = excluded.height,
    duration = excluded.duration, bitrate = excluded.bitrate, created_at = now();
END $$;

CREATE FUNCTION media.pipeline_anonymizes(p_name text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
BEGIN
  RETURN EXISTS (SELECT FROM pipelines p WHERE p.name = p_name AND p.anonymizes);
END $$;

-- Whether a job's outputs wait for the end of its run: outputs of an earlier run of its pipeline are
-- still served, or its pipeline anonymizes.
CREATE FUNCTION media.run_replaces(p_job media.jobs) RETURNS boolean
LANGUAGE sql STABLE SET search_path = media, pg_temp AS $$
  SELECT pipeline_anonymizes(p_job.pipeline)
      OR EXISTS (SELECT FROM jobs b JOIN outputs o ON o.job_id = b.id
                  WHERE b.media_id = p_job.media_id AND b.pipeline = p_job.pipeline AND b.run < p_job.run)
$$;

-- The run is done: the outputs it has kept back take the place of those of the runs of its pipeline
-- before it, which end with all that is theirs. One that anonymizes ends every run before it.
CREATE FUNCTION media.run_publish(p_media media.media) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
  v_is_masking boolean := pipeline_anonymizes(p_media.pipeline);
BEGIN
  PERFORM jobs_drop(ARRAY(SELECT id FROM jobs WHERE media_id = p_media.id AND run < p_media.run
                             AND (pipeline = p_media.pipeline OR (v_is_masking AND pipeline IS NOT NULL))));
  IF v_is_masking THEN
    PERFORM masks_publish(p_media);
  END IF;
  FOR v_job IN SELECT * FROM jobs WHERE media_id = p_media.id AND run = p_media.run AND result ? 'outputs' ORDER BY id LOOP
    PERFORM output_put(v_job, o) FROM jsonb_array_elements(v_job.result -> 'outputs') o;
    UPDATE jobs SET result = result - '{outputs,probe}'::text[] WHERE id = v_job.id;
  END LOOP;
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
  SELECT * INTO v_media FROM media WHERE id = p_media;
  LOOP
    UPDATE jobs j SET state = 'canceled', finished_at = now()
     WHERE j.media_id = p_media AND j.state = 'waiting'
       AND EXISTS (SELECT FROM jobs b WHERE b.media_id = p_media AND b.run = j.run AND b.step = ANY (j.depends_on)
                      AND b.state IN ('failed', 'canceled'));
    EXIT WHEN NOT FOUND;
  END LOOP;
  -- a step that fanned out into nothing, or a pipeline that names a step it does not have
  IF NOT EXISTS (SELECT FROM jobs WHERE media_id = p_media AND run = v_media.run AND essential
                    AND state IN ('queued', 'running')) THEN
    UPDATE jobs SET state = 'canceled', finished_at = now(), error_code = 'pipeline_stuck',
           error_detail = format('the step "%s" waits for a step that will never be done', step)
     WHERE media_id = p_media AND state = 'waiting';
  END IF;
  IF EXISTS (SELECT FROM jobs WHERE media_id = p_media AND run = v_media.run AND essential
                AND state IN ('waiting', 'queued', 'running')) THEN
    v_state := 'processing';
  ELSE
    SELECT * INTO v_failed FROM jobs WHERE media_id = p_media AND run = v_media.run AND essential
        AND (state = 'failed' OR (state = 'canceled' AND error_code = 'pipeline_stuck'))
      ORDER BY finished_at LIMIT 1;
    v_state := CASE WHEN v_failed.id IS NOT NULL THEN 'failed'
                    WHEN EXISTS (SELECT FROM jobs WHERE media_id = p_media AND run = v_media.run AND essential
                                    AND state = 'canceled') THEN 'canceled'
                    ELSE 'ready' END;
  END IF;
  UPDATE media SET revision = revision + 1, state = v_state,
         error_code = v_failed.error_code, error_detail = error_shown(v_failed),
         finished_at = CASE WHEN v_state = 'processing' THEN NULL
                            WHEN v_state = v_media.state THEN finished_at ELSE now() END
   WHERE id = p_media;
  IF v_state = v_media.state OR v_state NOT IN ('ready', 'failed') THEN
    RETURN '[]';
  END IF;
  IF v_state = 'ready' AND (v_media.run > 1 OR v_media.anonymized) THEN
    PERFORM run_publish(v_media);
  END IF;
  SELECT * INTO v_media FROM media WHERE id = p_media;
  RETURN notify_enqueue(v_media, 'media.' || v_state);
END $$;

-- Makes the jobs of a media's run and announces the first of them.
CREATE FUNCTION media.run_start(p_media uuid) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_media media;
  v_job jobs;
  v_outbox jsonb := '[]';
BEGIN
  SELECT * INTO v_media FROM media WHERE id = p_media;
  FOR v_job IN
    INSERT INTO jobs (media_id, owner_id, run, pipeline, step, queue, depends_on, max_attempts, priority, input, params,
                      state, announced_at)
    SELECT p_media, v_media.owner_id, v_media.run, s.pipeline, s.step, s.queue, s.depends_on, s.max_attempts, s.priority,
           s.input, job_params(s, v_media, run_edit(v_media)), CASE s.depends_on WHEN '{}' THEN 'queued' ELSE 'waiting' END,
           CASE s.depends_on WHEN '{}' THEN now() END
      FROM pipeline_steps s WHERE s.pipeline = v_media.pipeline AND NOT s.fan_out
    RETURNING *
  LOOP
    IF v_job.state = 'queued' THEN
      v_outbox := v_outbox || job_announce(v_job);
    END IF;
  END LOOP;
  RETURN CASE v_outbox WHEN '[]' THEN media_settle(p_media) ELSE v_outbox END;
END $$;

-- Runs failed or canceled jobs of a media again, with a fresh set of attempts; what
-- was canceled because of them waits again.
CREATE FUNCTION media.jobs_retry(p_media uuid, p_jobs uuid[]) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_outbox jsonb;
BEGIN
  UPDATE jobs SET state = 'waiting', attempt = 0, progress = 0, error_code = NULL, error_detail = NULL,
         finished_at = NULL, not_before = now()
   WHERE media_id = p_media AND (id = ANY (p_jobs) OR (state = 'canceled' AND (run, step) IN (
        WITH RECURSIVE chosen AS (
          SELECT c.run, c.step FROM jobs c WHERE c.id = ANY (p_jobs)), later AS (
          SELECT c.run, c.step FROM chosen c UNION
          SELECT b.run, b.step FROM jobs b JOIN later l ON b.run = l.run AND l.step = ANY (b.depends_on)
           WHERE b.media_id = p_media)
        SELECT l.run, l.step FROM later l EXCEPT SELECT c.run, c.step FROM chosen c)));
  v_outbox := media_advance(p_media);
  RETURN v_outbox || media_settle(p_media);
END $$;

-- Stops jobs of a media; a worker that runs one hears of it at its next heart-beat.
CREATE FUNCTION media.jobs_cancel(p_media uuid, p_jobs uuid[]) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE objects SET state = 'doomed', retry_at = now() + object_grace()
   WHERE job_id = ANY (p_jobs) AND state = 'pending';
  UPDATE jobs SET state = 'canceled', lease_until = NULL, finished_at = now() WHERE id = ANY (p_jobs);
  RETURN media_settle(p_media);
END $$;

-- The resource of the HTTP contract. Who may not see all of the media gets them from media_seen().
CREATE FUNCTION media.media_json(p media.media) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
BEGIN
  RETURN jsonb_build_object(
    'id', p.id, 'name', p.name, 'title', p.title, 'content_type', p.content_type, 'size', p.size_bytes,
    'digest', jsonb_build_object('sha-256', p.sha256), 'owner', p.owner_id, 'visibility', p.visibility,
    'pipeline', p.pipeline, 'params', p.params, 'state', p.state,
    'progress', coalesce((SELECT round(avg(CASE WHEN j.state = 'succeeded' THEN 1 ELSE j.progress END)::numeric, 4)
                            FROM jobs j WHERE j.media_id = p.id AND j.run = p.run AND j.essential), 1),
    'created_at', iso8601(p.created_at), 'finished_at', iso8601(p.finished_at),
    'error', CASE WHEN p.error_code IS NOT NULL THEN
       jsonb_build_object('code', p.error_code, 'detail', p.error_detail) END,
    'probe', p.probe,
    'jobs', coalesce((SELECT jsonb_agg(jsonb_build_object(
         'id', j.id, 'step', j.step, 'state', j.state, 'progress', round(j.progress::numeric, 4),
         'eta_seconds', round(j.eta_seconds::numeric, 1), 'attempt', j.attempt, 'max_attempts', j.max_attempts,
         'error', CASE WHEN j.error_code IS NOT NULL THEN
            jsonb_build_object('code', j.error_code, 'detail', error_shown(j)) END) ORDER BY j.id)
       FROM jobs j WHERE j.media_id = p.id AND j.run = p.run), '[]'),
    'outputs', coalesce((SELECT jsonb_agg(jsonb_build_object(
         'name', o.name, 'kind', o.kind, 'content_type', o.content_type, 'size', o.size_bytes,
         'digest', jsonb_build_object('sha-256', o.sha256), 'width', o.width, 'height', o.height,
         'duration', o.duration, 'bitrate', o.bitrate,
         'href', '/media/' || p.id || '/' || o.name) ORDER BY o.created_at, o.name)
       FROM outputs o WHERE o.media_id = p.id AND NOT p.withdrawn), '[]'))
    || CASE WHEN p.anonymized THEN jsonb_build_object(
         'anonymized', true, 'regions', coalesce(p.regions -> 'regions', '[]'), 'kept', coalesce(p.regions -> 'kept', '[]'),
         'original_gone_at', iso8601(p.original_gone_at)) ELSE '{}' END;
END $$;

-- Gone for everybody at once: a worker that runs one of its jobs has lost it, the janitor
-- removes the objects, those a worker may still be writing once it has noticed. The caller
-- holds the media row.
CREATE FUNCTION media.media_remove(p_media uuid) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  PERFORM FROM jobs WHERE media_id = p_media ORDER BY id FOR UPDATE;
  UPDATE objects SET state = 'doomed',
         retry_at = now() + CASE WHEN state = 'pending' THEN object_grace() ELSE interval '0s' END
   WHERE object_key IN (SELECT object_key FROM objects WHERE media_id = p_media AND state <> 'doomed'
                         ORDER BY object_key FOR UPDATE);
  PERFORM outbox_drop(ARRAY(SELECT id FROM jobs WHERE media_id = p_media));
  DELETE FROM media WHERE id = p_media;
END $$;
