-- Who may upload, and how much: quotas and Idempotency-Keys. All decisions that two
-- gateways must not both take are taken here, under a lock.

-- What is reserved ahead of the bytes of an upload whose length nobody knows.
CREATE FUNCTION media.reserve_step() RETURNS bigint
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
  RETURN 67108864;
END $$;

-- The members of a problem about a quota.
CREATE FUNCTION media.quota_members(p_resource text, p_used bigint, p_limit bigint) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT jsonb_build_object('resource', p_resource, 'used', p_used, 'limit', p_limit)::text
$$;

-- What makes two uploads with one key the same, besides their bytes.
CREATE FUNCTION media.upload_request(p_name text, p_title text, p_pipeline text, p_params jsonb, p_visibility text)
RETURNS jsonb LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT jsonb_build_object('name', p_name, 'title', coalesce(p_title, ''), 'pipeline', p_pipeline,
                            'params', coalesce(p_params, '{}'), 'visibility', coalesce(p_visibility, 'private'))
$$;

-- In what an upload differs from the one its key stands for; null: in nothing that is known
-- yet (null parameters).
CREATE FUNCTION media.upload_difference(p_key media.upload_keys, p_request jsonb, p_least bigint, p_most bigint,
                                        p_sha256 text)
RETURNS text LANGUAGE sql IMMUTABLE SET search_path = pg_catalog AS $$
  SELECT 'the first upload with this key had another ' || CASE
    WHEN p_key.size_bytes < p_least OR p_key.size_bytes > p_most THEN 'size'
    WHEN p_sha256 <> p_key.sha256 THEN 'sha-256'
    ELSE (SELECT r.key FROM jsonb_each(p_request) r WHERE r.value <> p_key.request -> r.key ORDER BY r.key LIMIT 1)
    END
$$;

-- What a committed key answers: 'replayed' when all is known and the same, 'replay' when the
-- gateway has to read and hash the file first; null: the key is free.
CREATE FUNCTION media.upload_key_answer(p_key media.upload_keys, p_request jsonb, p_least bigint, p_most bigint,
                                        p_sha256 text, OUT code text, OUT detail text)
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
BEGIN
  IF p_key.answer IS NOT NULL AND p_key.expires_at > now() THEN
    detail := upload_difference(p_key, p_request, p_least, p_most, p_sha256);
    code := CASE WHEN detail IS NOT NULL THEN 'idempotency_key_reused'
                 WHEN p_request IS NULL OR p_sha256 IS NULL THEN 'replay' ELSE 'replayed' END;
  ELSIF EXISTS (SELECT FROM uploads WHERE id = p_key.upload_id) THEN
    code := 'upload_in_progress';
    detail := 'the first upload with this key has not ended';
  END IF;
END $$;

-- Gives a free key to an upload; false: another session was faster. The row p_key is locked.
CREATE FUNCTION media.upload_key_take(p_key media.upload_keys, p_owner uuid, p_text text, p_id uuid) RETURNS boolean
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  IF p_key.key IS NULL THEN
    INSERT INTO upload_keys (owner_id, key, upload_id) VALUES (p_owner, p_text, p_id) ON CONFLICT DO NOTHING;
  ELSE
    UPDATE upload_keys SET upload_id = p_id, request = NULL, size_bytes = NULL, sha256 = NULL, answer = NULL,
           expires_at = now() + interval '24h'
     WHERE owner_id = p_owner AND key = p_text;
  END IF;
  RETURN FOUND;
END $$;

CREATE FUNCTION media.upload_key_settle(p_upload media.uploads, p_media media.media) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE upload_keys SET size_bytes = p_media.size_bytes, sha256 = p_media.sha256,
         answer = media_answer(p_media.id), expires_at = now() + interval '24h',
         request = upload_request(p_media.name, p_media.title, p_media.pipeline, p_media.params, p_media.visibility)
   WHERE owner_id = p_upload.owner_id AND key = p_upload.idempotency_key AND upload_id = p_upload.id;
END $$;

CREATE FUNCTION media.upload_check(p_pipeline text, p_params jsonb) RETURNS TABLE (code text, detail text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pipelines WHERE name = p_pipeline) THEN
    RETURN QUERY SELECT 'pipeline_unknown', format('there is no pipeline "%s"', left(p_pipeline, 64));
    RETURN;
  END IF;
  detail := params_fault(p_pipeline, p_params);
  code := CASE WHEN detail IS NULL THEN 'ok' ELSE 'params_invalid' END;
  RETURN NEXT;
END $$;

-- How much of p_want an upload gets, p_own of which it has: at least p_least and more than
-- nothing, or null with the problem's detail and members. The row of the user is locked where
-- there is a limit.
CREATE FUNCTION media.quota_grant(p_user uuid, p_limit bigint, p_own bigint, p_least bigint, p_want bigint,
                                  OUT granted bigint, OUT detail text, OUT members text)
LANGUAGE plpgsql VOLATILE SET search_path = media, pg_temp AS $$
DECLARE
  v_used bigint;
BEGIN
  granted := p_want;
  IF p_limit IS NOT NULL THEN
    v_used := quota_used(p_user) - p_own;
    granted := greatest(least(p_want, p_limit - v_used), 0);
    IF granted < p_least OR (granted = 0 AND p_want > 0) THEN
      granted := NULL;
      detail := format('used %s of %s bytes', v_used, p_limit);
      members := quota_members('bytes', v_used, p_limit);
    END IF;
  END IF;
END $$;

-- Committed durably before a byte goes to S3: an intent lost in a crash would leave an
-- object that nobody knows. p_name null: a form, whose fields come later. The file has at
-- least p_least and at most p_most bytes (null: nobody knows).
CREATE FUNCTION media.upload_open(p_id uuid, p_owner uuid, p_object_key text, p_name text, p_title text,
                                  p_visibility text, p_pipeline text, p_params jsonb, p_least bigint, p_most bigint,
                                  p_sha256 text, p_request_id text, p_no_replace boolean, p_key text,
                                  p_quota_bytes bigint, p_quota_uploads int)
RETURNS TABLE (code text, detail text, members text, reserved bigint, media_id uuid, size bigint, media text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_user users;
  v_key upload_keys;
  v_quota record;
  v_open bigint;
BEGIN
  SELECT * INTO v_user FROM users WHERE id = p_owner AND disabled_at IS NULL;
  IF NOT FOUND THEN
    code := 'token_invalid';
    detail := 'the account of this token is gone or disabled';
    RETURN NEXT;
    RETURN;
  END IF;

  IF p_key IS NOT NULL THEN
    SELECT * INTO v_key FROM upload_keys WHERE owner_id = p_owner AND key = p_key FOR UPDATE;
    IF FOUND THEN
      SELECT a.code, a.detail INTO code, detail FROM upload_key_answer(v_key, CASE WHEN p_name IS NOT NULL THEN
        upload_request(p_name, p_title, p_pipeline, p_params, p_visibility) END, p_least, p_most, p_sha256) a;
    END IF;
    IF code IS NOT NULL THEN
      SELECT v_key.upload_id, v_key.size_bytes, v_key.answer INTO media_id, size, media WHERE code LIKE 'replay%';
      RETURN NEXT;
      RETURN;
    END IF;
  END IF;

  SELECT c.code, c.detail INTO code, detail FROM upload_check(p_pipeline, p_params) c;
  IF code <> 'ok' THEN
    RETURN NEXT;
    RETURN;
  END IF;

  v_quota := quota_of(v_user, p_quota_bytes, p_quota_uploads);
  IF p_no_replace OR v_quota.bytes IS NOT NULL OR v_quota.uploads IS NOT NULL THEN
    PERFORM FROM users WHERE id = p_owner FOR NO KEY UPDATE;      -- one at a time: two cannot both win
  END IF;
  IF p_no_replace AND (EXISTS (SELECT FROM media m WHERE m.owner_id = p_owner AND m.name = p_name)
                       OR EXISTS (SELECT FROM uploads u WHERE u.owner_id = p_owner AND u.name = p_name)) THEN
    code := 'precondition_failed';
    detail := 'you already have media of that name';
    RETURN NEXT;
    RETURN;
  END IF;

  v_open := CASE WHEN v_quota.uploads IS NOT NULL THEN (SELECT count(*) FROM uploads WHERE owner_id = p_owner) END;
  IF v_open >= v_quota.uploads THEN
    detail := format('%s of %s uploads are open', v_open, v_quota.uploads);
    members := quota_members('uploads', v_open, v_quota.uploads);
  ELSE
    SELECT g.granted, g.detail, g.members INTO reserved, detail, members FROM
      quota_grant(p_owner, v_quota.bytes, 0, p_least, greatest(p_least, least(p_most, p_least + reserve_step()))) g;
  END IF;
  IF reserved IS NULL THEN
    code := 'quota_exceeded';
    RETURN NEXT;
    RETURN;
  END IF;

  IF p_key IS NOT NULL AND NOT upload_key_take(v_key, p_owner, p_key, p_id) THEN
    code := 'upload_in_progress';
    RETURN NEXT;
    RETURN;
  END IF;
  INSERT INTO uploads (id, owner_id, object_key, name, reserved_bytes, idempotency_key, request_id)
  VALUES (p_id, p_owner, p_object_key, p_name, reserved, p_key, p_request_id);
  INSERT INTO objects (object_key, media_id, all_versions) VALUES (p_object_key, p_id, pipeline_anonymizes(p_pipeline));
  RETURN NEXT;
END $$;

-- More room for an upload of unknown length that has p_received bytes by now. What it gets
-- depends on what it has received only: asked twice, it gets the same.
CREATE FUNCTION media.upload_reserve(p_id uuid, p_received bigint, p_quota_bytes bigint)
RETURNS TABLE (code text, detail text, members text, reserved bigint, is_last boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_user users;
  v_limit bigint;
  v_own bigint;
  v_want bigint := p_received + reserve_step();
BEGIN
  SELECT u.* INTO v_user FROM users u JOIN uploads x ON x.owner_id = u.id WHERE x.id = p_id;
  v_limit := (quota_of(v_user, p_quota_bytes, NULL)).bytes;
  IF v_limit IS NOT NULL THEN
    PERFORM FROM users WHERE id = v_user.id FOR NO KEY UPDATE;
  END IF;
  SELECT reserved_bytes INTO v_own FROM uploads WHERE id = p_id FOR UPDATE;
  IF NOT FOUND THEN
    code := 'upload_lost';
    RETURN NEXT;
    RETURN;
  END IF;
  SELECT g.granted, g.detail, g.members INTO reserved, detail, members
    FROM quota_grant(v_user.id, v_limit, v_own, p_received, v_want) g;
  reserved := greatest(reserved, CASE WHEN v_own >= p_received THEN v_own END);     -- what was given stays
  code := CASE WHEN reserved IS NULL THEN 'quota_exceeded' ELSE 'ok' END;
  is_last := reserved < v_want;
  UPDATE uploads SET reserved_bytes = reserved WHERE id = p_id AND reserved > v_own;
  RETURN NEXT;
END $$;

-- The file of a repetition has been read and hashed: the first answer, or why it does not get it.
CREATE FUNCTION media.upload_replay(p_owner uuid, p_key text, p_name text, p_title text, p_visibility text,
                                    p_pipeline text, p_params jsonb, p_size bigint, p_sha256 text)
RETURNS TABLE (code text, detail text, media_id uuid, media text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_key upload_keys;
BEGIN
  SELECT * INTO v_key FROM upload_keys WHERE owner_id = p_owner AND key = p_key AND answer IS NOT NULL;
  detail := upload_difference(v_key, upload_request(p_name, p_title, p_pipeline, p_params, p_visibility),
                              p_size, p_size, p_sha256);
  code := CASE WHEN v_key.key IS NULL THEN 'upload_lost' WHEN detail IS NULL THEN 'ok'
               ELSE 'idempotency_key_reused' END;
  SELECT v_key.upload_id, v_key.answer INTO media_id, media WHERE code = 'ok';
  RETURN NEXT;
END $$;

GRANT EXECUTE ON FUNCTION media.upload_check, media.upload_open, media.upload_reserve, media.upload_replay
TO media_gateway;
