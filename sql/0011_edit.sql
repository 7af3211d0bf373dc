-- What an owner does to media through the gateway (role media_gateway): change, delete, stop, run again.
-- Signatures and meaning of the columns: libmedia/include/media/stmt.h. What the operator's functions do,
-- too, is in 0002_engine.sql.

-- Locks media of that owner.
CREATE FUNCTION media.media_own(p_owner uuid, p_id uuid) RETURNS media.media
LANGUAGE sql SET search_path = media, pg_temp AS $$
  SELECT * FROM media WHERE id = p_id AND owner_id = p_owner FOR UPDATE
$$;

-- The answer to its owner after a change: the resource as it is now.
CREATE FUNCTION media.media_answer(p_id uuid) RETURNS text
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  RETURN (SELECT media_json(media_seen(m, m.owner_id))::text FROM media m WHERE m.id = p_id);
END $$;

CREATE FUNCTION media.media_patch(p_owner uuid, p_id uuid, p_has_title boolean, p_title text, p_visibility text)
RETURNS TABLE (code text, detail text, media text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_media media := media_own(p_owner, p_id);
BEGIN
  IF v_media.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL, NULL;
    RETURN;
  END IF;
  IF p_visibility NOT IN ('private', 'unlisted', 'public') THEN
    RETURN QUERY SELECT 'bad_request', 'visibility: must be private, unlisted or public', NULL;
    RETURN;
  END IF;
  IF octet_length(p_title) > 4096 THEN
    RETURN QUERY SELECT 'bad_request', 'title: may have 4096 bytes', NULL;
    RETURN;
  END IF;
  IF (p_has_title AND p_title IS DISTINCT FROM v_media.title) OR p_visibility <> v_media.visibility THEN
    UPDATE media SET revision = revision + 1,
           title = CASE WHEN p_has_title THEN p_title ELSE title END,
           visibility = coalesce(p_visibility, visibility),
           token_epoch = token_epoch + CASE WHEN p_visibility <> visibility THEN 1 ELSE 0 END
     WHERE id = p_id;
  END IF;
  RETURN QUERY SELECT 'ok', NULL, media_answer(p_id);
END $$;

CREATE FUNCTION media.media_delete(p_owner uuid, p_id uuid) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_media media := media_own(p_owner, p_id);
BEGIN
  IF v_media.id IS NULL THEN
    RETURN QUERY SELECT 'not_found';
    RETURN;
  END IF;
  PERFORM media_remove(p_id);
  RETURN QUERY SELECT 'ok';
END $$;

CREATE FUNCTION media.media_cancel(p_owner uuid, p_id uuid)
RETURNS TABLE (code text, detail text, media text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_media media := media_own(p_owner, p_id);
  v_outbox jsonb;
BEGIN
  IF v_media.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL, NULL, '[]';
    RETURN;
  END IF;
  IF v_media.state <> 'processing' THEN
    RETURN QUERY SELECT 'conflict', format('the media is %s: nothing is left to stop', v_media.state), NULL, '[]';
    RETURN;
  END IF;
  v_outbox := jobs_cancel(p_id, ARRAY(SELECT id FROM jobs WHERE media_id = p_id AND run = v_media.run AND essential
                                         AND state IN ('waiting', 'queued', 'running') ORDER BY id FOR UPDATE));
  RETURN QUERY SELECT 'ok', NULL, media_answer(p_id), v_outbox::text;
END $$;

CREATE FUNCTION media.media_retry(p_owner uuid, p_id uuid)
RETURNS TABLE (code text, detail text, media text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_media media := media_own(p_owner, p_id);
  v_outbox jsonb;
BEGIN
  IF v_media.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL, NULL, '[]';
    RETURN;
  END IF;
  IF v_media.state NOT IN ('failed', 'canceled') THEN
    RETURN QUERY SELECT 'conflict', format('the media is %s: nothing of it has failed', v_media.state), NULL, '[]';
    RETURN;
  END IF;
  IF v_media.original_gone_at IS NOT NULL AND run_needs_original(v_media) THEN
    RETURN QUERY SELECT 'original_gone', 'the original has been deleted', NULL, '[]';
    RETURN;
  END IF;
  v_outbox := jobs_retry(p_id, ARRAY(SELECT id FROM jobs WHERE media_id = p_id AND run = v_media.run AND essential
                                        AND state IN ('failed', 'canceled')));
  RETURN QUERY SELECT 'ok', NULL, media_answer(p_id), v_outbox::text;
END $$;

-- Runs a pipeline on the original once more, of anonymized media on the masked copy. Earlier runs of which no
-- output is left go.
CREATE FUNCTION media.media_run(p_owner uuid, p_id uuid, p_pipeline text, p_params jsonb)
RETURNS TABLE (code text, detail text, media text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_media media := media_own(p_owner, p_id);
  v_is_masking boolean := pipeline_anonymizes(p_pipeline);
  v_fault text;
  v_outbox jsonb;
BEGIN
  IF v_media.id IS NULL THEN
    RETURN QUERY SELECT 'not_found', NULL, NULL, '[]';
    RETURN;
  END IF;
  IF NOT EXISTS (SELECT FROM pipelines WHERE name = p_pipeline) THEN
    RETURN QUERY SELECT 'pipeline_unknown', format('there is no pipeline "%s"', left(p_pipeline, 64)), NULL, '[]';
    RETURN;
  END IF;
  v_fault := params_fault(p_pipeline, p_params);
  IF v_fault IS NOT NULL THEN
    RETURN QUERY SELECT 'params_invalid', v_fault, NULL, '[]';
    RETURN;
  END IF;
  IF v_media.anonymized AND NOT v_is_masking AND (masked_copy(v_media)).name IS NULL THEN
    RETURN QUERY SELECT 'anonymized', 'there is no masked copy to start from', NULL, '[]';
    RETURN;
  END IF;
  IF v_media.state = 'processing' THEN
    RETURN QUERY SELECT 'conflict', format('pipeline %s is still at work: cancel it first', v_media.pipeline), NULL, '[]';
    RETURN;
  END IF;
  IF v_is_masking AND v_media.original_gone_at IS NOT NULL THEN
    RETURN QUERY SELECT 'original_gone', 'the original has been deleted', NULL, '[]';
    RETURN;
  END IF;
  PERFORM jobs_drop(ARRAY(SELECT j.id FROM jobs j WHERE j.media_id = p_id AND j.state IN ('succeeded', 'failed', 'canceled')
                             AND NOT EXISTS (SELECT FROM outputs o JOIN jobs b ON b.id = o.job_id
                                              WHERE b.media_id = p_id AND b.run = j.run)));
  UPDATE media SET run = run + 1, revision = revision + 1, pipeline = p_pipeline, params = coalesce(p_params, '{}'),
         state = 'processing', error_code = NULL, error_detail = NULL, finished_at = NULL
   WHERE id = p_id;
  IF v_is_masking THEN
    PERFORM media_anonymize(p_id);
  END IF;
  v_outbox := run_start(p_id);
  RETURN QUERY SELECT 'ok', NULL, media_answer(p_id), v_outbox::text;
END $$;

GRANT EXECUTE ON FUNCTION
  media.media_patch, media.media_delete, media.media_cancel, media.media_retry, media.media_run
TO media_gateway;
