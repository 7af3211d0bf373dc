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

-- A new password ends every login, and so does disabling: see user_ended().
CREATE FUNCTION media.ctl_user_passwd(p_email text, p_password_hash text) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE users SET password_hash = p_password_hash WHERE lower(email) = lower(p_email);
  RETURN QUERY SELECT CASE WHEN FOUND THEN 'ok' ELSE 'not_found' END;
END $$;

CREATE FUNCTION media.ctl_user_disable(p_email text, p_is_disabled boolean) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE users SET disabled_at = CASE WHEN p_is_disabled THEN coalesce(disabled_at, now()) END
   WHERE lower(email) = lower(p_email);
  RETURN QUERY SELECT CASE WHEN FOUND THEN 'ok' ELSE 'not_found' END;
END $$;

-- How a limit is shown: its number, "none" or "default".
CREATE FUNCTION media.quota_said(p_limit bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT CASE WHEN p_limit IS NULL THEN '"default"' WHEN p_limit = -1 THEN '"none"' ELSE to_jsonb(p_limit) END
$$;

-- null leaves a limit as it is, "default" is the gateway's media_quota, -1 none.
CREATE FUNCTION media.ctl_user_quota(p_email text, p_bytes text, p_uploads text)
RETURNS TABLE (code text, quota text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_user users;
BEGIN
  UPDATE users SET
    quota_bytes = CASE WHEN p_bytes IS NULL THEN quota_bytes WHEN p_bytes <> 'default' THEN p_bytes::bigint END,
    quota_uploads = CASE WHEN p_uploads IS NULL THEN quota_uploads WHEN p_uploads <> 'default' THEN p_uploads::int END
   WHERE lower(email) = lower(p_email) RETURNING * INTO v_user;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'not_found', NULL::text;
    RETURN;
  END IF;
  RETURN QUERY SELECT 'ok', jsonb_build_object('email', v_user.email,
    'bytes', quota_said(v_user.quota_bytes), 'uploads', quota_said(v_user.quota_uploads),
    'used', quota_used(v_user.id), 'open', (SELECT count(*) FROM uploads WHERE owner_id = v_user.id))::text;
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

CREATE FUNCTION media.ctl_job_retry(p_id uuid) RETURNS TABLE (code text, detail text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs := job_lock(p_id);
BEGIN
  IF v_job.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL::text, '[]';
  ELSIF v_job.state NOT IN ('failed', 'canceled') THEN
    RETURN QUERY SELECT 'conflict', format('the job is %s', v_job.state), '[]';
  ELSE
    RETURN QUERY SELECT 'ok', NULL::text, jobs_retry(v_job.media_id, ARRAY[p_id])::text;
  END IF;
END $$;

CREATE FUNCTION media.ctl_job_cancel(p_id uuid) RETURNS TABLE (code text, detail text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs := job_lock(p_id);
BEGIN
  IF v_job.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL::text, '[]';
  ELSIF v_job.state NOT IN ('waiting', 'queued', 'running') THEN
    RETURN QUERY SELECT 'conflict', format('the job is %s', v_job.state), '[]';
  ELSE
    RETURN QUERY SELECT 'ok', NULL::text, jobs_cancel(v_job.media_id, ARRAY[p_id])::text;
  END IF;
END $$;

CREATE FUNCTION media.ctl_media_show(p_id uuid) RETURNS TABLE (media text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT (media_json(m) || CASE WHEN m.anonymized THEN jsonb_build_object('withdrawn', m.withdrawn, 'run', m.run,
            'original_due_at', iso8601(m.original_due_at)) ELSE '{}' END)::text FROM media m WHERE m.id = p_id
$$;

CREATE FUNCTION media.ctl_media_rm(p_id uuid) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  PERFORM FROM media WHERE id = p_id FOR UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'not_found';
    RETURN;
  END IF;
  PERFORM media_remove(p_id);
  RETURN QUERY SELECT 'ok';
END $$;

CREATE FUNCTION media.ctl_pipeline_list() RETURNS TABLE (name text, steps text, main_steps text, anonymizes boolean, description text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT p.name, (SELECT string_agg(s.step, ',' ORDER BY cardinality(s.depends_on), s.step) FROM pipeline_steps s WHERE s.pipeline = p.name),
         array_to_string(p.main_steps, ','), p.anonymizes, p.description FROM pipelines p ORDER BY p.name
$$;

CREATE FUNCTION media.ctl_pipeline_show(p_name text)
RETURNS TABLE (step text, queue text, depends_on text, priority int, max_attempts int, fan_out boolean, input text, params text,
               params_schema text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT s.step, s.queue, array_to_string(s.depends_on, ','), s.priority, s.max_attempts, s.fan_out, s.input, s.params::text, s.params_schema::text
    FROM pipeline_steps s WHERE s.pipeline = p_name ORDER BY cardinality(s.depends_on), s.step
$$;

-- What an upload may set, with what holds where it does not.
CREATE FUNCTION media.ctl_pipeline_params(p_name text) RETURNS TABLE (step text, param text, holds text, rule text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT s.step, r.key, coalesce(s.params -> r.key, r.value -> 'default')::text, (r.value - 'default')::text
    FROM pipeline_steps s, jsonb_each(s.params_schema) r WHERE s.pipeline = p_name ORDER BY cardinality(s.depends_on), s.step, r.key
$$;

-- Defaults of a step: each member given replaces one, null takes it away. Runs that have begun keep theirs.
CREATE FUNCTION media.ctl_pipeline_set(p_name text, p_step text, p_params jsonb) RETURNS TABLE (code text, detail text, params text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_step pipeline_steps;
  v_fault text := 'params must be a JSON object';
  v_new jsonb;
BEGIN
  SELECT * INTO v_step FROM pipeline_steps s WHERE s.pipeline = p_name AND s.step = p_step FOR UPDATE;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'not_found', NULL::text, NULL::text;
    RETURN;
  END IF;
  IF jsonb_typeof(p_params) = 'object' THEN
    v_new := jsonb_strip_nulls(v_step.params || p_params);
    v_fault := params_fault(p_name, (SELECT coalesce(jsonb_object_agg(e.key, e.value), '{}') FROM jsonb_each(p_params) e
                                      WHERE e.value <> 'null' OR NOT v_step.params_schema ? e.key), p_step);
  END IF;
  IF v_fault IS NULL THEN
    UPDATE pipeline_steps s SET params = v_new WHERE s.pipeline = p_name AND s.step = p_step;
  END IF;
  RETURN QUERY SELECT CASE WHEN v_fault IS NULL THEN 'ok' ELSE 'params_invalid' END, v_fault,
    (CASE WHEN v_fault IS NULL THEN v_new ELSE v_step.params END)::text;
END $$;
