-- Functions of the gateway (role media_gateway). Signatures and meaning of the
-- columns: libmedia/include/media/stmt.h.

CREATE FUNCTION media.login_lookup(p_email text)
RETURNS TABLE (id uuid, password_hash text, roles text, email text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT u.id, u.password_hash, to_json(u.roles)::text, u.email FROM users u
   WHERE lower(u.email) = lower(p_email) AND u.disabled_at IS NULL
$$;

CREATE FUNCTION media.session_open(p_user uuid, p_token_sha256 text, p_family uuid, p_ttl_s int)
RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM users WHERE id = p_user AND disabled_at IS NULL) THEN
    RETURN QUERY SELECT 'credentials_invalid';
    RETURN;
  END IF;
  INSERT INTO sessions (token_sha256, user_id, family, expires_at)
  VALUES (p_token_sha256, p_user, p_family, now() + make_interval(secs => p_ttl_s));
  RETURN QUERY SELECT 'ok';
END $$;

CREATE FUNCTION media.quota_used(p_user uuid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = media, pg_temp AS $$
  SELECT coalesce((SELECT sum(size_bytes) FROM media WHERE owner_id = p_user), 0)::bigint
       + coalesce((SELECT sum(reserved_bytes) FROM uploads WHERE owner_id = p_user), 0)::bigint
$$;

CREATE FUNCTION media.me(p_user uuid) RETURNS TABLE (me text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT jsonb_build_object('id', u.id, 'email', u.email, 'roles', to_jsonb(u.roles),
    'quota', jsonb_build_object('used', quota_used(u.id), 'limit', u.quota_bytes,
      'uploads', (SELECT count(*) FROM uploads p WHERE p.owner_id = u.id)))::text
    FROM users u WHERE u.id = p_user AND u.disabled_at IS NULL
$$;

-- Committed durably before a byte goes to S3: an intent lost in a crash would
-- leave an object that nobody knows.
CREATE FUNCTION media.upload_open(p_id uuid, p_owner uuid, p_object_key text, p_name text, p_content_type text,
                                  p_size bigint, p_pipeline text, p_params jsonb, p_request_id text,
                                  p_no_replace boolean)
RETURNS TABLE (code text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_quota bigint;
  v_used bigint;
  v_fault text;
BEGIN
  SELECT quota_bytes INTO v_quota FROM users WHERE id = p_owner AND disabled_at IS NULL;
  IF NOT FOUND THEN
    RETURN QUERY SELECT 'token_invalid', 'the account of this token is gone or disabled';
    RETURN;
  END IF;
  IF p_pipeline IS NOT NULL THEN
    IF NOT EXISTS (SELECT FROM pipelines WHERE name = p_pipeline) THEN
      RETURN QUERY SELECT 'pipeline_unknown', format('there is no pipeline "%s"', left(p_pipeline, 64));
      RETURN;
    END IF;
    v_fault := params_fault(p_pipeline, p_params);
    IF v_fault IS NOT NULL THEN
      RETURN QUERY SELECT 'params_invalid', v_fault;
      RETURN;
    END IF;
  END IF;
  IF p_no_replace AND EXISTS (SELECT FROM media WHERE owner_id = p_owner AND name = p_name) THEN
    RETURN QUERY SELECT 'precondition_failed', 'you already have media of that name';
    RETURN;
  END IF;
  IF v_quota IS NOT NULL THEN
    PERFORM FROM users WHERE id = p_owner FOR NO KEY UPDATE;
    v_used := quota_used(p_owner);
    IF v_used + coalesce(p_size, 0) > v_quota OR (p_size IS NULL AND v_used >= v_quota) THEN
      RETURN QUERY SELECT 'quota_exceeded', format('used %s of %s bytes', v_used, v_quota);
      RETURN;
    END IF;
  END IF;
  INSERT INTO uploads (id, owner_id, object_key, name, reserved_bytes, request_id)
  VALUES (p_id, p_owner, p_object_key, p_name, coalesce(p_size, 0), p_request_id);
  INSERT INTO objects (object_key, media_id) VALUES (p_object_key, p_id);
  RETURN QUERY SELECT 'ok', NULL::text;
END $$;

CREATE FUNCTION media.upload_s3id(p_id uuid, p_s3_upload_id text) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_key text;
BEGIN
  -- locked, so that the janitor either passes by or has given it up before
  SELECT object_key INTO v_key FROM uploads WHERE id = p_id FOR KEY SHARE;
  UPDATE objects SET s3_upload_id = p_s3_upload_id WHERE object_key = v_key;
  RETURN QUERY SELECT CASE WHEN FOUND THEN 'ok' ELSE 'gone' END;
END $$;

CREATE FUNCTION media.upload_heartbeat(p_ids uuid[]) RETURNS TABLE (id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  RETURN QUERY
  WITH alive AS (
    UPDATE uploads u SET heartbeat_at = now()
     WHERE u.id IN (SELECT x.id FROM uploads x WHERE x.id = ANY (p_ids)
                     ORDER BY x.id FOR UPDATE)
    RETURNING u.id)
  SELECT i FROM unnest(p_ids) i WHERE i NOT IN (SELECT a.id FROM alive a);
END $$;

-- One transaction: media, its jobs, their outbox rows; the intent is closed.
CREATE FUNCTION media.upload_commit(p_id uuid, p_name text, p_title text, p_content_type text, p_size bigint,
                                    p_sha256 text, p_etag text, p_pipeline text, p_params jsonb,
                                    p_visibility text, p_request_id text, p_traceparent text)
RETURNS TABLE (code text, detail text, media text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_upload uploads;
  v_media media;
  v_quota bigint;
  v_used bigint;
  v_fault text;
  v_outbox jsonb;
BEGIN
  SELECT * INTO v_upload FROM uploads WHERE id = p_id FOR UPDATE;
  IF NOT FOUND THEN
    SELECT * INTO v_media FROM media WHERE id = p_id;
    IF FOUND THEN
      RETURN QUERY SELECT 'ok', NULL::text, media_json(v_media)::text, coalesce((
        SELECT jsonb_agg(jsonb_build_object('id', x.id::text, 'queue', x.queue, 'message', x.message))
          FROM outbox x JOIN jobs j ON j.id = x.job_id WHERE j.media_id = p_id), '[]')::text;
    ELSE
      RETURN QUERY SELECT 'gone', 'the upload was given up', NULL::text, '[]'::text;
    END IF;
    RETURN;
  END IF;
  IF NOT EXISTS (SELECT FROM pipelines WHERE name = p_pipeline) THEN
    RETURN QUERY SELECT 'pipeline_unknown', format('there is no pipeline "%s"', left(p_pipeline, 64)),
      NULL::text, '[]'::text;
    RETURN;
  END IF;
  v_fault := params_fault(p_pipeline, p_params);
  IF v_fault IS NOT NULL THEN
    RETURN QUERY SELECT 'params_invalid', v_fault, NULL::text, '[]'::text;
    RETURN;
  END IF;
  IF p_visibility NOT IN ('private', 'unlisted', 'public') THEN
    RETURN QUERY SELECT 'params_invalid', 'visibility: must be private, unlisted or public', NULL::text, '[]'::text;
    RETURN;
  END IF;
  SELECT quota_bytes INTO v_quota FROM users WHERE id = v_upload.owner_id FOR NO KEY UPDATE;
  IF v_quota IS NOT NULL THEN
    v_used := quota_used(v_upload.owner_id) - v_upload.reserved_bytes;
    IF v_used + p_size > v_quota THEN
      RETURN QUERY SELECT 'quota_exceeded', format('used %s of %s bytes', v_used, v_quota), NULL::text, '[]'::text;
      RETURN;
    END IF;
  END IF;
  DELETE FROM uploads WHERE id = p_id;
  INSERT INTO media (id, owner_id, name, title, content_type, size_bytes, sha256, etag, object_key, visibility,
                     pipeline, params, request_id, traceparent)
  VALUES (p_id, v_upload.owner_id, p_name, p_title, p_content_type, p_size, p_sha256, p_etag, v_upload.object_key,
          coalesce(p_visibility, 'private'), p_pipeline, coalesce(p_params, '{}'), p_request_id, p_traceparent);
  UPDATE objects SET state = 'live', s3_upload_id = NULL WHERE object_key = v_upload.object_key;
  INSERT INTO jobs (media_id, owner_id, step, queue, depends_on, max_attempts, priority, params)
  SELECT p_id, v_upload.owner_id, s.step, s.queue, s.depends_on, s.max_attempts, s.priority,
         step_params(s, coalesce(p_params, '{}'))
    FROM pipeline_steps s WHERE s.pipeline = p_pipeline AND NOT s.fan_out;
  v_outbox := media_advance(p_id) || media_settle(p_id);
  SELECT * INTO v_media FROM media WHERE id = p_id;
  RETURN QUERY SELECT 'ok', NULL::text, media_json(v_media)::text, v_outbox::text;
END $$;

-- S3 may still be finishing a request that the gateway has walked away from, so
-- the object is deleted a little later. A gateway that was frozen may even have
-- written it after the janitor had removed it: its key is doomed once more.
CREATE FUNCTION media.upload_abort(p_id uuid, p_is_clean boolean, p_object_key text) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_found boolean;
BEGIN
  DELETE FROM uploads WHERE id = p_id AND object_key = p_object_key;
  v_found := FOUND;
  IF p_is_clean THEN
    DELETE FROM objects WHERE object_key = p_object_key AND state = 'pending' AND v_found;
  ELSIF NOT EXISTS (SELECT FROM media WHERE id = p_id) THEN
    INSERT INTO objects AS o (object_key, media_id, state, retry_at)
    VALUES (p_object_key, p_id, 'doomed', now() + interval '5s')
    ON CONFLICT ON CONSTRAINT objects_pkey DO UPDATE SET state = 'doomed', retry_at = excluded.retry_at
      WHERE o.media_id = p_id AND o.state <> 'live';
  END IF;
  RETURN QUERY SELECT CASE WHEN v_found THEN 'ok' ELSE 'gone' END;
END $$;

CREATE FUNCTION media.outbox_sent(p_ids bigint[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE id = ANY (p_ids) ORDER BY id FOR UPDATE)
$$;

-- Cursor: the id of the last item, base64; ids sort by time.
CREATE FUNCTION media.media_list(p_owner uuid, p_limit int, p_cursor text, p_state text, p_pipeline text,
                                 p_q text, p_sort text)
RETURNS TABLE (code text, detail text, page text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_after uuid;
  v_is_asc boolean := false;
  v_items media[];
  v_next text;
BEGIN
  IF p_state IS NOT NULL AND p_state NOT IN ('processing', 'ready', 'failed', 'canceled') THEN
    RETURN QUERY SELECT 'bad_request', 'state: must be processing, ready, failed or canceled', NULL::text;
    RETURN;
  END IF;
  IF p_sort IS NOT NULL THEN
    IF p_sort NOT IN ('created_at', '-created_at') THEN
      RETURN QUERY SELECT 'bad_request', 'sort: must be created_at or -created_at', NULL::text;
      RETURN;
    END IF;
    v_is_asc := p_sort = 'created_at';
  END IF;
  IF p_cursor IS NOT NULL THEN
    BEGIN
      v_after := encode(decode(translate(p_cursor, '-_', '+/') || '==', 'base64'), 'hex')::uuid;
    EXCEPTION WHEN OTHERS THEN
      RETURN QUERY SELECT 'bad_request', 'cursor: not one of ours', NULL::text;
      RETURN;
    END;
  END IF;
  IF v_is_asc THEN
    v_items := array(SELECT m FROM media m WHERE m.owner_id = p_owner
      AND (v_after IS NULL OR m.id > v_after) AND (p_state IS NULL OR m.state = p_state)
      AND (p_pipeline IS NULL OR m.pipeline = p_pipeline)
      AND (p_q IS NULL OR strpos(lower(m.name), lower(p_q)) > 0 OR strpos(lower(m.title), lower(p_q)) > 0)
      ORDER BY m.id LIMIT p_limit + 1);
  ELSE
    v_items := array(SELECT m FROM media m WHERE m.owner_id = p_owner
      AND (v_after IS NULL OR m.id < v_after) AND (p_state IS NULL OR m.state = p_state)
      AND (p_pipeline IS NULL OR m.pipeline = p_pipeline)
      AND (p_q IS NULL OR strpos(lower(m.name), lower(p_q)) > 0 OR strpos(lower(m.title), lower(p_q)) > 0)
      ORDER BY m.id DESC LIMIT p_limit + 1);
  END IF;
  IF cardinality(v_items) > p_limit THEN
    v_items := v_items[:p_limit];
    v_next := rtrim(translate(encode(uuid_send(v_items[p_limit].id), 'base64'), '+/', '-_'), '=');
  END IF;
  RETURN QUERY SELECT 'ok', NULL::text, jsonb_build_object('items', coalesce((
    SELECT jsonb_agg(media_json(v_items[i]) ORDER BY i) FROM generate_subscripts(v_items, 1) i), '[]'),
    'next', v_next)::text;
END $$;

CREATE FUNCTION media.media_get(p_owner uuid, p_id uuid) RETURNS TABLE (media text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT media_json(m)::text FROM media m WHERE m.id = p_id AND m.owner_id = p_owner
$$;

-- The bytes behind a name: 'original', an output, or '' for the main output.
CREATE FUNCTION media.object_of(p_media media.media, p_output text)
RETURNS TABLE (code text, detail text, object_key text, size bigint, etag text, content_type text, name text,
               sha256 text, modified bigint, output text)
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_output outputs;
BEGIN
  IF p_media.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL, NULL, NULL::bigint, NULL, NULL, NULL, NULL, NULL::bigint, NULL;
    RETURN;
  END IF;
  IF p_output = 'original' THEN
    RETURN QUERY SELECT 'ok', NULL, p_media.object_key, p_media.size_bytes, p_media.etag, p_media.content_type,
      p_media.name, p_media.sha256, floor(extract(epoch FROM p_media.created_at))::bigint, 'original';
    RETURN;
  END IF;
  IF p_output = '' THEN
    SELECT * INTO v_output FROM main_output(p_media);
  ELSE
    SELECT * INTO v_output FROM outputs o WHERE o.media_id = p_media.id AND o.name = p_output;
  END IF;
  IF v_output.name IS NULL THEN
    RETURN QUERY SELECT CASE WHEN p_output <> '' THEN 'not_found'
                             WHEN p_media.state = 'failed' THEN 'failed'
                             WHEN p_media.state = 'processing' THEN 'not_ready' ELSE 'not_found' END,
      CASE WHEN p_output = '' THEN p_media.error_detail END,
      NULL, NULL::bigint, NULL, NULL, p_media.name, NULL, NULL::bigint, NULL;
    RETURN;
  END IF;
  RETURN QUERY SELECT 'ok', NULL, v_output.object_key, v_output.size_bytes, v_output.etag, v_output.content_type,
    p_media.name, v_output.sha256, floor(extract(epoch FROM v_output.created_at))::bigint, v_output.name;
END $$;

CREATE FUNCTION media.media_object(p_owner uuid, p_id uuid, p_output text)
RETURNS TABLE (code text, detail text, object_key text, size bigint, etag text, content_type text, name text,
               sha256 text, modified bigint, output text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT o.* FROM (SELECT 1) one
    LEFT JOIN media m ON m.id = p_id AND m.owner_id = p_owner, LATERAL object_of(m, p_output) o
$$;

CREATE FUNCTION media.play_object(p_id uuid, p_epoch int, p_output text)
RETURNS TABLE (code text, detail text, object_key text, size bigint, etag text, content_type text, name text,
               sha256 text, modified bigint, output text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT o.* FROM (SELECT 1) one
    LEFT JOIN media m ON m.id = p_id AND m.token_epoch = p_epoch, LATERAL object_of(m, p_output) o
$$;

CREATE FUNCTION media.media_epoch(p_owner uuid, p_id uuid) RETURNS TABLE (epoch int, duration double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT m.token_epoch, (SELECT max(o.duration) FROM outputs o WHERE o.media_id = m.id)
    FROM media m WHERE m.id = p_id AND m.owner_id = p_owner
$$;
