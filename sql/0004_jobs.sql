-- Functions of the workers (media_worker, media_notifier): claim under a lease and
-- a fence, report, finish. Signatures: libmedia/include/media/stmt.h.

-- The best due job of a queue: highest priority first, among equals the owner who
-- has the fewest jobs running, then who was served longest ago (with one worker
-- nobody has any running), then the oldest.
CREATE FUNCTION media.job_pick(p_queue text, p_steps text[]) RETURNS uuid
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_owner uuid;
  v_id uuid;
BEGIN
  FOR v_owner IN
    WITH RECURSIVE owners AS (      -- loose index scan over jobs_due
      (SELECT owner_id FROM jobs WHERE state = 'queued' AND queue = p_queue ORDER BY owner_id LIMIT 1)
      UNION ALL
      SELECT (SELECT j.owner_id FROM jobs j WHERE j.state = 'queued' AND j.queue = p_queue
                 AND j.owner_id > o.owner_id ORDER BY j.owner_id LIMIT 1)
        FROM owners o WHERE o.owner_id IS NOT NULL)
    SELECT o.owner_id FROM owners o
      JOIN LATERAL (SELECT j.priority, j.id FROM jobs j
                     WHERE j.state = 'queued' AND j.queue = p_queue AND j.owner_id = o.owner_id
                       AND j.not_before <= now() AND j.step = ANY (p_steps)
                     ORDER BY j.priority DESC, j.id LIMIT 1) head ON true
     ORDER BY head.priority DESC,
              (SELECT count(*) FROM jobs r WHERE r.state = 'running' AND r.owner_id = o.owner_id),
              (SELECT max(r.started_at) FROM jobs r WHERE r.queue = p_queue AND r.owner_id = o.owner_id) NULLS FIRST,
              head.id
  LOOP
    SELECT j.id INTO v_id FROM jobs j
     WHERE j.state = 'queued' AND j.queue = p_queue AND j.owner_id = v_owner
       AND j.not_before <= now() AND j.step = ANY (p_steps)
     ORDER BY j.priority DESC, j.id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
      RETURN v_id;
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

-- prefix: what the original's key has in front; a job without an input is told it, too.
CREATE FUNCTION media.job_claim(p_queue text, p_worker text, p_lease_s int, p_steps text[])
RETURNS TABLE (id uuid, media_id uuid, step text, attempt int, max_attempts int, fence bigint, params text,
               range text, object_key text, size bigint, name text, content_type text, owner_id uuid,
               request_id text, traceparent text, created bigint, prefix text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_id uuid;
  v_input record;
BEGIN
  LOOP      -- a job without an input is none of those that job_pick() sees next
    v_id := job_pick(p_queue, p_steps);
    IF v_id IS NULL THEN
      RETURN;
    END IF;
    v_input := job_input(v_id);
    EXIT WHEN v_input.code = 'ok';
    PERFORM job_refuse(v_id, v_input.code);
  END LOOP;
  RETURN QUERY
  WITH claimed AS (
    UPDATE jobs j SET state = 'running', attempt = j.attempt + 1, fence = j.fence + 1, worker = p_worker,
           lease_until = now() + make_interval(secs => p_lease_s), started_at = now(), progress = 0,
           eta_seconds = NULL, error_code = NULL, error_detail = NULL
     WHERE j.id = v_id RETURNING j.*)
  SELECT c.id, c.media_id, c.step, c.attempt, c.max_attempts, c.fence, c.params::text, c.range::text,
         v_input.object_key, v_input.size, v_input.name, v_input.content_type, m.owner_id, m.request_id, m.traceparent,
         floor(extract(epoch FROM c.created_at))::bigint, left(m.object_key, -length('media/' || m.id || '/original'))
    FROM claimed c JOIN media m ON m.id = c.media_id;
END $$;

CREATE FUNCTION media.job_fence_code(p_job media.jobs, p_fence bigint) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = media, pg_temp AS $$
  SELECT CASE WHEN p_job.state = 'running' AND p_job.fence = p_fence THEN 'ok'
              WHEN p_job.state = 'canceled' THEN 'canceled' ELSE 'lost' END
$$;

CREATE FUNCTION media.job_heartbeat(p_id uuid, p_fence bigint, p_lease_s int, p_progress double precision,
                                    p_eta double precision)
RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  UPDATE jobs SET lease_until = now() + make_interval(secs => p_lease_s),
         progress = least(greatest(coalesce(p_progress, progress), 0), 1), eta_seconds = p_eta
   WHERE id = p_id AND state = 'running' AND fence = p_fence;
  IF FOUND THEN
    RETURN QUERY SELECT 'ok';
    RETURN;
  END IF;
  SELECT * INTO v_job FROM jobs WHERE id = p_id;
  RETURN QUERY SELECT job_fence_code(v_job, p_fence);
END $$;

-- Registers a key before it is written to S3. Of anonymized media no version of an object outlives it: what is
-- masked today may not have been yesterday.
CREATE FUNCTION media.job_object(p_id uuid, p_fence bigint, p_object_key text) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
BEGIN
  SELECT * INTO v_job FROM jobs WHERE id = p_id FOR UPDATE;
  IF job_fence_code(v_job, p_fence) <> 'ok' THEN
    RETURN QUERY SELECT job_fence_code(v_job, p_fence);
    RETURN;
  END IF;
  INSERT INTO objects (object_key, media_id, job_id, fence, all_versions)
  SELECT p_object_key, m.id, p_id, p_fence, m.anonymized FROM media m WHERE m.id = v_job.media_id
    ON CONFLICT ON CONSTRAINT objects_pkey DO NOTHING;
  RETURN QUERY SELECT CASE WHEN EXISTS (SELECT FROM objects WHERE object_key = p_object_key AND job_id = p_id
                                           AND fence = p_fence AND state = 'pending') THEN 'ok' ELSE 'lost' END;
END $$;

CREATE FUNCTION media.job_object_s3id(p_object_key text, p_s3_upload_id text) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE objects SET s3_upload_id = p_s3_upload_id
   WHERE object_key = p_object_key AND state = 'pending' AND job_id IS NOT NULL;
  RETURN QUERY SELECT CASE WHEN FOUND THEN 'ok' ELSE 'lost' END;
END $$;

-- Locks a job's media, then the job: the order everybody keeps.
CREATE FUNCTION media.job_lock(p_id uuid) RETURNS media.jobs
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
BEGIN
  PERFORM FROM media m WHERE m.id = (SELECT j.media_id FROM jobs j WHERE j.id = p_id) FOR UPDATE;
  SELECT * INTO v_job FROM jobs WHERE id = p_id FOR UPDATE;
  RETURN v_job;
END $$;

-- The commit of a job's work: winners named, losers doomed, next steps enabled.
CREATE FUNCTION media.job_finish(p_id uuid, p_fence bigint, p_result jsonb)
RETURNS TABLE (code text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs := job_lock(p_id);
  v_out jsonb;
  v_count int;
  v_outbox jsonb;
  v_is_kept_back boolean := run_replaces(v_job);
  v_is_masking boolean := pipeline_anonymizes(v_job.pipeline);
  v_probe jsonb := CASE      -- of an original that is masked nobody is told, but of the masked copy
    WHEN v_job.input = 'media' OR p_result -> 'outputs' @? '$[*] ? (@.name starts with "masked.")' THEN p_result -> 'probe' END;
BEGIN
  IF v_job.state = 'succeeded' AND v_job.fence = p_fence THEN
    RETURN QUERY SELECT 'ok', '[]';      -- said before, the answer was lost
    RETURN;
  END IF;
  IF job_fence_code(v_job, p_fence) <> 'ok' THEN
    RETURN QUERY SELECT job_fence_code(v_job, p_fence), '[]';
    RETURN;
  END IF;
  FOR v_out IN SELECT * FROM jsonb_array_elements(coalesce(p_result -> 'outputs', '[]')) LOOP
    PERFORM object_keep(v_job, v_out ->> 'object_key');
    IF NOT v_is_kept_back THEN
      PERFORM output_put(v_job, v_out);
    END IF;
  END LOOP;
  PERFORM segments_put(v_job, p_result);
  PERFORM segments_move(v_job, p_result -> 'reuse');
  UPDATE objects SET state = 'doomed', retry_at = now() + object_grace()
   WHERE job_id = p_id AND state = 'pending';
  UPDATE jobs SET state = 'succeeded', lease_until = NULL, progress = 1, eta_seconds = NULL, finished_at = now(),
         result = p_result - '{tracks,segments,reuse}'::text[]
                  - (CASE WHEN v_is_kept_back THEN '{}' ELSE '{outputs}' END)::text[]
                  - (CASE WHEN v_is_masking AND v_probe IS NOT NULL THEN '{}' ELSE '{probe}' END)::text[]
   WHERE id = p_id;
  IF v_probe IS NOT NULL AND NOT v_is_masking THEN
    UPDATE media SET probe = v_probe WHERE id = v_job.media_id;
  END IF;
  INSERT INTO jobs (media_id, owner_id, run, pipeline, step, ordinal, range, queue, depends_on, max_attempts, priority,
                    input, params)
  SELECT v_job.media_id, v_job.owner_id, v_job.run, v_job.pipeline, s.step,
         row_number() OVER (PARTITION BY s.step ORDER BY f.n) - 1
           + (SELECT coalesce(max(x.ordinal) + 1, 0) FROM jobs x
               WHERE x.media_id = v_job.media_id AND x.run = v_job.run AND x.step = s.step),
         f.job -> 'range', s.queue, s.depends_on, s.max_attempts, s.priority, edit_input(s, v_job.params -> 'edit'),
         job_params(s, m, v_job.params -> 'edit')
    FROM jsonb_array_elements(coalesce(p_result -> 'fan_out', '[]')) WITH ORDINALITY AS f(job, n)
    JOIN media m ON m.id = v_job.media_id
    JOIN pipeline_steps s ON s.pipeline = v_job.pipeline AND s.step = f.job ->> 'step' AND s.fan_out;
  GET DIAGNOSTICS v_count = ROW_COUNT;
  IF v_count <> jsonb_array_length(coalesce(p_result -> 'fan_out', '[]')) THEN
    RAISE EXCEPTION 'job % fans out into a step that its pipeline does not have', p_id USING ERRCODE = 'check_violation';
  END IF;
  v_outbox := media_advance(v_job.media_id);
  v_outbox := v_outbox || media_settle(v_job.media_id);
  RETURN QUERY SELECT 'ok', v_outbox::text;
END $$;

-- A failed attempt. Kept apart so that lost leases fail the same way.
CREATE FUNCTION media.job_end_attempt(p_job media.jobs, p_may_retry boolean, p_code text, p_detail text)
RETURNS TABLE (code text, outbox jsonb)
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs;
  v_outbox jsonb;
BEGIN
  UPDATE objects SET state = 'doomed', retry_at = now() + object_grace()
   WHERE job_id = p_job.id AND state = 'pending';
  IF p_may_retry AND p_job.attempt < p_job.max_attempts THEN
    -- 2, 4, 8 ... 300 seconds, spread by a quarter so that a crowd does not come back at once
    UPDATE jobs SET state = 'queued', lease_until = NULL, error_code = p_code, error_detail = left(p_detail, 1000),
           not_before = now() + make_interval(secs => least(300, 2 ^ p_job.attempt) * (0.875 + random() / 4)),
           announced_at = NULL
     WHERE id = p_job.id;
    RETURN QUERY SELECT 'retried', '[]'::jsonb;      -- the janitor announces it when it is due
    RETURN;
  END IF;
  UPDATE jobs SET state = 'failed', lease_until = NULL, error_code = p_code, error_detail = left(p_detail, 1000),
         eta_seconds = NULL, finished_at = now()
   WHERE id = p_job.id RETURNING * INTO v_job;
  v_outbox := job_dead_letter(v_job);
  IF v_job.essential THEN
    v_outbox := v_outbox || media_settle(v_job.media_id);
  END IF;
  RETURN QUERY SELECT 'failed', v_outbox;
END $$;

CREATE FUNCTION media.job_fail(p_id uuid, p_fence bigint, p_may_retry boolean, p_code text, p_detail text)
RETURNS TABLE (code text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs := job_lock(p_id);
BEGIN
  IF job_fence_code(v_job, p_fence) <> 'ok' THEN
    RETURN QUERY SELECT job_fence_code(v_job, p_fence), '[]';
    RETURN;
  END IF;
  RETURN QUERY SELECT e.code, e.outbox::text FROM job_end_attempt(v_job, p_may_retry, p_code, p_detail) e;
END $$;

CREATE FUNCTION media.job_release(p_id uuid, p_fence bigint) RETURNS TABLE (code text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs := job_lock(p_id);
BEGIN
  IF job_fence_code(v_job, p_fence) <> 'ok' THEN
    RETURN QUERY SELECT job_fence_code(v_job, p_fence), '[]';
    RETURN;
  END IF;
  UPDATE objects SET state = 'doomed', retry_at = now() + object_grace()
   WHERE job_id = p_id AND state = 'pending';
  UPDATE jobs SET state = 'queued', lease_until = NULL, worker = NULL, attempt = attempt - 1, progress = 0,
         not_before = now()
   WHERE id = p_id RETURNING * INTO v_job;
  RETURN QUERY SELECT 'ok', job_announce(v_job)::text;
END $$;

-- The notifier's: the same, of the queue notify alone. Its jobs make nothing but mails.
CREATE FUNCTION media.notify_claim(p_worker text, p_lease_s int)
RETURNS TABLE (id uuid, media_id uuid, step text, attempt int, max_attempts int, fence bigint, params text,
               range text, object_key text, size bigint, name text, content_type text, owner_id uuid,
               request_id text, traceparent text, created bigint, prefix text)
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT * FROM job_claim('notify', p_worker, p_lease_s, '{notify}')
$$;

-- Null, which no function finds, for a job of another queue.
CREATE FUNCTION media.notify_job(p_id uuid) RETURNS uuid
LANGUAGE sql STABLE SET search_path = media, pg_temp AS $$
  SELECT id FROM jobs WHERE id = p_id AND queue = 'notify'
$$;

CREATE FUNCTION media.notify_heartbeat(p_id uuid, p_fence bigint, p_lease_s int, p_progress double precision,
                                       p_eta double precision)
RETURNS TABLE (code text)
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT h.code FROM job_heartbeat(notify_job(p_id), p_fence, p_lease_s, p_progress, p_eta) h
$$;

CREATE FUNCTION media.notify_finish(p_id uuid, p_fence bigint, p_result jsonb) RETURNS TABLE (code text, outbox text)
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT f.* FROM job_finish(notify_job(p_id), p_fence, p_result - '{outputs,probe,fan_out}'::text[]) f
$$;

CREATE FUNCTION media.notify_fail(p_id uuid, p_fence bigint, p_may_retry boolean, p_code text, p_detail text)
RETURNS TABLE (code text, outbox text)
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT f.* FROM job_fail(notify_job(p_id), p_fence, p_may_retry, p_code, p_detail) f
$$;

CREATE FUNCTION media.notify_release(p_id uuid, p_fence bigint) RETURNS TABLE (code text, outbox text)
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT r.* FROM job_release(notify_job(p_id), p_fence) r
$$;
