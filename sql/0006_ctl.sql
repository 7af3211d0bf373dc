-- Functions of the operator's tool mediactl (role media_ctl).

CREATE FUNCTION media.ctl_user_add(p_email text, p_password_hash text, p_roles text[])
RETURNS TABLE (code text, id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_id uuid;
BEGIN
  INSERT INTO users (email, password_hash, roles) VALUES (p_email, p_password_hash, p_roles)
    ON CONFLICT (lower(email)) DO NOTHING RETURNING users.id INTO v_id;
  RETURN QUERY SELECT CASE WHEN v_id IS NULL THEN 'conflict' ELSE 'ok' END, v_id;
END $$;

-- A new password ends every session.
CREATE FUNCTION media.ctl_user_passwd(p_email text, p_password_hash text) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_id uuid;
BEGIN
  UPDATE users SET password_hash = p_password_hash WHERE lower(email) = lower(p_email) RETURNING id INTO v_id;
  DELETE FROM sessions WHERE user_id = v_id;
  RETURN QUERY SELECT CASE WHEN v_id IS NULL THEN 'not_found' ELSE 'ok' END;
END $$;

CREATE FUNCTION media.ctl_user_disable(p_email text, p_is_disabled boolean) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_id uuid;
BEGIN
  UPDATE users SET disabled_at = CASE WHEN p_is_disabled THEN coalesce(disabled_at, now()) END
   WHERE lower(email) = lower(p_email) RETURNING id INTO v_id;
  IF p_is_disabled THEN
    DELETE FROM sessions WHERE user_id = v_id;
  END IF;
  RETURN QUERY SELECT CASE WHEN v_id IS NULL THEN 'not_found' ELSE 'ok' END;
END $$;

CREATE FUNCTION media.ctl_user_list()
RETURNS TABLE (id uuid, email text, roles text, disabled boolean, created_at text, media bigint, bytes bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT u.id, u.email, array_to_string(u.roles, ','), u.disabled_at IS NOT NULL, iso8601(u.created_at),
         count(m.id), coalesce(sum(m.size_bytes), 0)::bigint
    FROM users u LEFT JOIN media m ON m.owner_id = u.id GROUP BY u.id ORDER BY u.email
$$;

CREATE FUNCTION media.ctl_job_list(p_state text, p_limit int)
RETURNS TABLE (id uuid, media_id uuid, step text, queue text, state text, attempt int, max_attempts int,
               worker text, progress double precision, error_code text, error_detail text, created_at text,
               finished_at text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT j.id, j.media_id, j.step, j.queue, j.state, j.attempt, j.max_attempts, j.worker, j.progress,
         j.error_code, j.error_detail, iso8601(j.created_at), iso8601(j.finished_at)
    FROM jobs j WHERE p_state IS NULL OR j.state = p_state ORDER BY j.id DESC LIMIT p_limit
$$;

CREATE FUNCTION media.ctl_job_show(p_id uuid) RETURNS TABLE (job text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT (to_jsonb(j) - 'announced_at')::text FROM jobs j WHERE j.id = p_id
$$;

-- Runs a failed or canceled job again, with a fresh set of attempts; what was
-- canceled because of it waits again.
CREATE FUNCTION media.ctl_job_retry(p_id uuid) RETURNS TABLE (code text, detail text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs := job_lock(p_id);
  v_outbox jsonb;
BEGIN
  IF v_job.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL::text, '[]';
    RETURN;
  END IF;
  IF v_job.state NOT IN ('failed', 'canceled') THEN
    RETURN QUERY SELECT 'conflict', format('the job is %s', v_job.state), '[]';
    RETURN;
  END IF;
  UPDATE jobs SET state = 'waiting', attempt = 0, progress = 0, error_code = NULL, error_detail = NULL,
         finished_at = NULL, not_before = now()
   WHERE id = p_id
      OR (media_id = v_job.media_id AND state = 'canceled' AND step <> v_job.step AND step IN (
        WITH RECURSIVE later AS (
          SELECT v_job.step UNION
          SELECT j.step FROM jobs j JOIN later l ON l.step = ANY (j.depends_on) WHERE j.media_id = v_job.media_id)
        SELECT l.step FROM later l));
  v_outbox := media_advance(v_job.media_id);
  v_outbox := v_outbox || media_settle(v_job.media_id);
  RETURN QUERY SELECT 'ok', NULL::text, v_outbox::text;
END $$;

CREATE FUNCTION media.ctl_job_cancel(p_id uuid) RETURNS TABLE (code text, detail text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs := job_lock(p_id);
BEGIN
  IF v_job.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL::text, '[]';
    RETURN;
  END IF;
  IF v_job.state NOT IN ('waiting', 'queued', 'running') THEN
    RETURN QUERY SELECT 'conflict', format('the job is %s', v_job.state), '[]';
    RETURN;
  END IF;
  UPDATE objects SET state = 'doomed', retry_at = now() + object_grace() WHERE job_id = p_id AND state = 'pending';
  UPDATE jobs SET state = 'canceled', lease_until = NULL, finished_at = now() WHERE id = p_id;
  RETURN QUERY SELECT 'ok', NULL::text, media_settle(v_job.media_id)::text;
END $$;

CREATE FUNCTION media.ctl_media_show(p_id uuid) RETURNS TABLE (media text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT media_json(m)::text FROM media m WHERE m.id = p_id
$$;

-- Gone for everybody at once; the janitor removes the objects.
CREATE FUNCTION media.ctl_media_rm(p_id uuid) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  PERFORM FROM media WHERE id = p_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'not_found';
    RETURN;
  END IF;
  PERFORM media_doom(p_id);
  DELETE FROM outbox WHERE job_id IN (SELECT id FROM jobs WHERE media_id = p_id);
  DELETE FROM media WHERE id = p_id;
  RETURN QUERY SELECT 'ok';
END $$;
