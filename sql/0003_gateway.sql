-- Functions of the gateway (role media_gateway). Signatures and meaning of the
-- columns: libmedia/include/media/stmt.h.

-- What a user may have, null: no limit. The last two are the gateway's media_quota, for
-- users without a value of their own.
CREATE FUNCTION media.quota_of(p_user media.users, p_bytes bigint, p_uploads int, OUT bytes bigint, OUT uploads int)
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
  bytes := nullif(coalesce(p_user.quota_bytes, p_bytes), -1);
  uploads := nullif(coalesce(p_user.quota_uploads, p_uploads), -1);
END $$;

CREATE FUNCTION media.quota_used(p_user uuid) RETURNS bigint
LANGUAGE sql STABLE SET search_path = media, pg_temp AS $$
  SELECT coalesce((SELECT sum(size_bytes) FROM media WHERE owner_id = p_user), 0)::bigint
       + coalesce((SELECT sum(reserved_bytes) FROM uploads WHERE owner_id = p_user), 0)::bigint
$$;

CREATE FUNCTION media.me(p_user uuid, p_quota_bytes bigint, p_quota_uploads int) RETURNS TABLE (me text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT jsonb_build_object('id', u.id, 'email', u.email, 'roles', to_jsonb(u.roles),
    'quota', jsonb_build_object('used', quota_used(u.id), 'limit', q.bytes,
      'reserved', (SELECT coalesce(sum(p.reserved_bytes), 0) FROM uploads p WHERE p.owner_id = u.id),
      'uploads', (SELECT count(*) FROM uploads p WHERE p.owner_id = u.id), 'uploads_limit', q.uploads))::text
    FROM users u, quota_of(u, p_quota_bytes, p_quota_uploads) q WHERE u.id = p_user AND u.disabled_at IS NULL
$$;

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

-- A CreateMultipartUpload got no answer and is about to be repeated. Only a live object keeps its row
-- without being deleted from S3, and by then no upload of its key has a right to be there.
CREATE FUNCTION media.upload_doubt(p_id uuid) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_key text;
BEGIN
  SELECT object_key INTO v_key FROM uploads WHERE id = p_id FOR KEY SHARE;
  UPDATE objects SET strays_at = now() + interval '1min' WHERE object_key = v_key;
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
  v_fault text;
  v_outbox jsonb;
BEGIN
  SELECT * INTO v_upload FROM uploads WHERE id = p_id FOR UPDATE;
  IF NOT FOUND THEN
    SELECT * INTO v_media FROM media WHERE id = p_id;
    IF FOUND THEN
      RETURN QUERY SELECT 'ok', NULL::text, media_answer(p_id), coalesce((
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
  IF p_size > v_upload.reserved_bytes THEN
    RAISE EXCEPTION 'upload %: % bytes, % are reserved', p_id, p_size, v_upload.reserved_bytes
      USING ERRCODE = 'check_violation';
  END IF;
  DELETE FROM uploads WHERE id = p_id;
  INSERT INTO media (id, owner_id, name, title, content_type, size_bytes, sha256, etag, object_key, visibility,
                     pipeline, params, request_id, traceparent)
  VALUES (p_id, v_upload.owner_id, p_name, p_title, p_content_type, p_size, p_sha256, p_etag, v_upload.object_key,
          coalesce(p_visibility, 'private'), p_pipeline, coalesce(p_params, '{}'), p_request_id, p_traceparent);
  UPDATE objects SET state = 'live', s3_upload_id = NULL WHERE object_key = v_upload.object_key;
  IF pipeline_anonymizes(p_pipeline) THEN
    PERFORM media_anonymize(p_id);
  END IF;
  v_outbox := run_start(p_id);
  SELECT * INTO v_media FROM media WHERE id = p_id;
  IF v_upload.idempotency_key IS NOT NULL THEN
    PERFORM upload_key_settle(v_upload, v_media);
  END IF;
  RETURN QUERY SELECT 'ok', NULL::text, media_answer(p_id), v_outbox::text;
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
    INSERT INTO objects AS o (object_key, media_id, state, retry_at, look_again)
    VALUES (p_object_key, p_id, 'doomed', now() + interval '5s', true)
    ON CONFLICT ON CONSTRAINT objects_pkey DO UPDATE
      SET state = 'doomed', retry_at = excluded.retry_at, look_again = true
      WHERE o.media_id = p_id AND o.state <> 'live';
  END IF;
  RETURN QUERY SELECT CASE WHEN v_found THEN 'ok' ELSE 'gone' END;
END $$;

CREATE FUNCTION media.outbox_sent(p_ids bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  DELETE FROM outbox WHERE id IN (SELECT id FROM outbox WHERE id = ANY (p_ids) ORDER BY id FOR UPDATE);
END $$;

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
    SELECT jsonb_agg(media_json(media_seen(v_items[i], p_owner)) ORDER BY i) FROM generate_subscripts(v_items, 1) i), '[]'),
    'next', v_next)::text;
END $$;

-- Whoever has the id of unlisted or public media may read it, as far as it is meant to be
-- seen: what the job engine and the file itself tell is the owner's. p_caller is null for
-- somebody without a token.
CREATE FUNCTION media.media_get(p_caller uuid, p_id uuid) RETURNS TABLE (media text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  RETURN QUERY
  SELECT (CASE WHEN m.owner_id = p_caller THEN media_json(media_seen(m, p_caller))
               ELSE (media_json(media_seen(m, p_caller)) || '{"jobs": [], "params": {}, "probe": null, "error": null}')
                    - '{regions,kept,original_gone_at}'::text[] END)::text
    FROM media m WHERE m.id = p_id AND (m.owner_id = p_caller OR m.visibility <> 'private');
END $$;

-- The bytes behind a name: 'original', an output, or '' for the main output. public: caches may share them; null: what
-- there is now may be withdrawn the next moment, so no cache may answer without asking. Of anonymized media
-- nobody but an operator gets the original, and nobody anything that is withdrawn.
CREATE FUNCTION media.object_of(p_media media.media, p_output text, p_is_operator boolean DEFAULT false)
RETURNS TABLE (code text, detail text, object_key text, size bigint, etag text, content_type text, name text,
               sha256 text, modified bigint, output text, public boolean)
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_output outputs;
  v_name text;
  v_is_public boolean := CASE WHEN NOT p_media.anonymized THEN p_media.visibility = 'public' END;
BEGIN
  IF p_media.id IS NULL OR (p_output = 'original' AND p_media.anonymized
                            AND (p_media.original_gone_at IS NOT NULL OR NOT p_is_operator)) THEN
    RETURN QUERY SELECT 'not_found', NULL, NULL, NULL::bigint, NULL, NULL, NULL, NULL, NULL::bigint, NULL, NULL::boolean;
    RETURN;
  END IF;
  IF p_output = 'original' THEN
    RETURN QUERY SELECT 'ok', NULL, p_media.object_key, p_media.size_bytes, p_media.etag, p_media.content_type,
      p_media.name, p_media.sha256, floor(extract(epoch FROM p_media.created_at))::bigint, 'original', false;
    RETURN;
  END IF;
  v_name := (media_seen(p_media, NULL)).name;
  IF p_output LIKE 'cmaf/%' AND NOT p_media.withdrawn THEN
    RETURN QUERY SELECT 'ok', NULL, s.object_key, s.size_bytes, s.etag,
        CASE WHEN p_output LIKE '%.vtt' THEN 'text/vtt' ELSE 'video/mp4' END, v_name, s.sha256,
        floor(extract(epoch FROM s.created_at))::bigint, p_output, v_is_public
      FROM segment_at(p_media.id, p_output) s;
    IF FOUND THEN
      RETURN;
    END IF;
  END IF;
  IF p_output = '' THEN
    SELECT * INTO v_output FROM main_output(p_media);
  ELSIF NOT p_media.withdrawn THEN
    SELECT * INTO v_output FROM outputs o WHERE o.media_id = p_media.id AND o.name = p_output;
  END IF;
  IF v_output.name IS NULL THEN
    RETURN QUERY SELECT CASE WHEN p_output <> '' THEN 'not_found'
                             WHEN p_media.state = 'failed' THEN 'failed'
                             WHEN p_media.state = 'processing' THEN 'not_ready' ELSE 'not_found' END,
      CASE WHEN p_output = '' THEN p_media.error_detail END,
      NULL, NULL::bigint, NULL, NULL, v_name, NULL, NULL::bigint, NULL, NULL::boolean;
    RETURN;
  END IF;
  RETURN QUERY SELECT 'ok', NULL, v_output.object_key, v_output.size_bytes, v_output.etag, v_output.content_type,
    v_name, v_output.sha256, floor(extract(epoch FROM v_output.created_at))::bigint, v_output.name,
    v_is_public;
END $$;

-- Every download asks one of these two. They are in PL/pgSQL because it keeps its plans; a function in SQL is
-- planned anew by each call.

-- Outputs of unlisted or public media for everybody, the original for its owner alone; that of anonymized
-- media for operators alone. Who has no token is asked for one where it might help.
CREATE FUNCTION media.media_object(p_caller uuid, p_id uuid, p_output text)
RETURNS TABLE (code text, detail text, object_key text, size bigint, etag text, content_type text, name text,
               sha256 text, modified bigint, output text, public boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_media media;
  v_is_operator boolean := p_output = 'original' AND is_operator(p_caller);
BEGIN
  SELECT * INTO v_media FROM media m
   WHERE m.id = p_id AND (m.owner_id = p_caller OR (m.visibility <> 'private' AND p_output <> 'original')
                          OR (v_is_operator AND m.anonymized));
  RETURN QUERY
  SELECT CASE WHEN v_media.id IS NULL AND p_caller IS NULL THEN 'token_missing'
              WHEN v_media.anonymized AND p_output = 'original' AND NOT v_is_operator THEN 'insufficient_scope'
              ELSE o.code END,
         CASE WHEN v_media.owner_id = p_caller THEN o.detail END,
         o.object_key, o.size, o.etag, o.content_type, o.name, o.sha256, o.modified, o.output, o.public
    FROM object_of(v_media, p_output, v_is_operator) o;
END $$;

-- p_sid: the login that made the playback token, null for one in a mail. It ends with its login.
CREATE FUNCTION media.play_object(p_id uuid, p_epoch int, p_sid uuid, p_output text)
RETURNS TABLE (code text, detail text, object_key text, size bigint, etag text, content_type text, name text,
               sha256 text, modified bigint, output text, public boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_media media;
BEGIN
  SELECT * INTO v_media FROM media m
   WHERE m.id = p_id AND m.token_epoch = p_epoch
     AND NOT EXISTS (SELECT FROM revocations r WHERE r.subject = p_sid
                         OR (r.subject = m.owner_id AND r.ended_at >= uuid7_time(p_sid)));
  RETURN QUERY SELECT * FROM object_of(v_media, p_output);
END $$;

CREATE FUNCTION media.media_epoch(p_owner uuid, p_id uuid) RETURNS TABLE (epoch int, duration double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT m.token_epoch, (SELECT max(o.duration) FROM outputs o WHERE o.media_id = m.id)
    FROM media m WHERE m.id = p_id AND m.owner_id = p_owner
$$;
