-- Anonymized media: fail closed. From the moment a pipeline that anonymizes is asked for, media are anonymized for
-- ever (media_anonymize()), and whatever programs do or fail to do, the database
--   hands the original to steps alone that say so, of such a pipeline; to every other its masked copy, or no job;
--   serves nothing of a run of such a pipeline before that run is ready, and nothing at all (withdrawn) from the
--   start of such a run to its end, however it ends;
--   tells nobody but operators name and original; others see those of the masked copy: the output "masked.*";
--   deletes what made way for something newer, or is due, in all its versions.
-- An edit (media_regions()) is a run that makes anew what changed of the masked copy: it takes over the work of the
-- run before it, its base, as far as that still holds. It knows the steps by their names.

CREATE FUNCTION media.is_operator(p_user uuid) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
BEGIN
  RETURN EXISTS (SELECT FROM users u WHERE u.id = p_user AND u.disabled_at IS NULL AND 'operator' = ANY (u.roles));
END $$;

-- The masked copy, even while it is withdrawn; a row of nulls while there is none.
CREATE FUNCTION media.masked_base(p_media uuid) RETURNS media.outputs
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_masked outputs;
BEGIN
  SELECT o.* INTO v_masked FROM outputs o JOIN jobs j ON j.id = o.job_id
   WHERE o.media_id = p_media AND o.name LIKE 'masked.%' AND pipeline_anonymizes(j.pipeline) ORDER BY o.name LIMIT 1;
  RETURN v_masked;
END $$;

CREATE FUNCTION media.masked_copy(p_media media.media) RETURNS media.outputs
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
BEGIN
  RETURN CASE WHEN NOT p_media.withdrawn THEN masked_base(p_media.id) END;
END $$;

-- The media as somebody sees them. Their owner may know what was sent, but for its name: that is for people who get
-- the masked copy, and may tell as much as the picture.
CREATE FUNCTION media.media_seen(p_media media.media, p_caller uuid) RETURNS media.media
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_masked outputs;
BEGIN
  IF NOT p_media.anonymized OR is_operator(p_caller) THEN
    RETURN p_media;
  END IF;
  v_masked := masked_copy(p_media);
  p_media.name := 'anonymized' || coalesce(substr(v_masked.name, length('masked.')), '');
  IF p_media.owner_id IS DISTINCT FROM p_caller THEN
    p_media.content_type := v_masked.content_type;
    p_media.size_bytes := v_masked.size_bytes;
    p_media.sha256 := v_masked.sha256;
  END IF;
  RETURN p_media;
END $$;

-- What is told of a job's failure. A worker that has read the original may quote it; these are our own words.
CREATE FUNCTION media.error_shown(p_job media.jobs) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
  RETURN CASE
    WHEN p_job.error_code IS NULL OR p_job.input <> 'original' OR p_job.error_code IN ('worker_lost', 'pipeline_stuck', 'anonymized', 'original_gone')
      THEN p_job.error_detail
    ELSE CASE p_job.error_code
      WHEN 'unreadable_media' THEN 'The file cannot be read.'
      WHEN 'truncated_media' THEN 'The file ends too early.'
      WHEN 'encrypted_media' THEN 'The file is encrypted.'
      WHEN 'unsupported_media' THEN 'Files of this kind cannot be anonymized.'
      WHEN 'unsupported_format' THEN 'Files of this format cannot be anonymized.'
      WHEN 'unsupported_codec' THEN 'The file is coded in a way that is not read here.'
      WHEN 'no_video' THEN 'There is no picture in the file.'
      WHEN 'limits' THEN 'The file is larger, longer or more complicated than is allowed here.'
      WHEN 'params_invalid' THEN 'The parameters do not fit the file.'
      WHEN 'damaged' THEN 'A part of the file cannot be decoded, and nothing of it is shown unmasked.'
      WHEN 'model_missing' THEN 'A model that finds what is to be masked is missing.'
      WHEN 'model_broken' THEN 'A model that finds what is to be masked is broken.'
      WHEN 'no_mask_image' THEN 'There is no image for masks here: choose another mask.'
      WHEN 'storage_unavailable' THEN 'The storage could not be reached.'
      WHEN 'detector_failed' THEN 'What is to be masked could not be looked for.'
      ELSE 'The file could not be anonymized.' END END;
END $$;

-- ---- a run ----

-- Media are anonymized from here on. What was made of the original goes at once, with the tokens that led to it.
CREATE FUNCTION media.media_anonymize(p_id uuid) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_media media;
BEGIN
  SELECT * INTO v_media FROM media WHERE id = p_id;
  IF NOT v_media.anonymized THEN
    PERFORM jobs_drop(ARRAY(SELECT id FROM jobs WHERE media_id = p_id));
    UPDATE objects SET all_versions = true WHERE object_key IN (
      SELECT object_key FROM objects WHERE media_id = p_id ORDER BY object_key FOR UPDATE);
  END IF;
  UPDATE media SET anonymized = true, withdrawn = true, mask_params = params, probe = NULL,
         regions = regions || '{"kept": []}',      -- tracks are counted anew
         token_epoch = token_epoch + CASE WHEN anonymized OR run = 1 THEN 0 ELSE 1 END
   WHERE id = p_id;
  IF NOT v_media.anonymized THEN      -- an upload that is said again is answered without the name, too
    UPDATE upload_keys SET answer = media_answer(p_id)
     WHERE owner_id = v_media.owner_id AND upload_id = p_id AND answer IS NOT NULL;
  END IF;
END $$;

-- The member "edit" of params: the regions an owner has added hold in every run that anonymizes.
CREATE FUNCTION media.run_edit(p_media media.media) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
BEGIN
  RETURN CASE WHEN jsonb_array_length(p_media.regions -> 'regions') > 0 AND pipeline_anonymizes(p_media.pipeline)
              THEN p_media.regions - 'next' END;
END $$;

-- Params of a job. In an edit those that the base had: what is made anew has to fit what is taken over.
CREATE FUNCTION media.job_params(p_step media.pipeline_steps, p_media media.media, p_edit jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_params jsonb;
BEGIN
  IF p_edit ? 'base_run' THEN
    SELECT j.params - 'edit' INTO v_params FROM jobs j
     WHERE j.media_id = p_media.id AND j.run >= (p_edit ->> 'base_run')::int AND j.step = p_step.step
     ORDER BY j.run, j.ordinal LIMIT 1;
  END IF;
  RETURN coalesce(v_params, step_params(p_step, p_media.params))
      || CASE WHEN p_edit IS NOT NULL AND p_step.input <> 'media' THEN jsonb_build_object('edit', p_edit) ELSE '{}' END;
END $$;

-- What a job of an edit reads: an original that is gone cannot be read again.
CREATE FUNCTION media.edit_input(p_step media.pipeline_steps, p_edit jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog AS $$
BEGIN
  RETURN CASE WHEN p_step.input = 'original' AND p_edit ->> 'base' = 'masked' THEN 'masked' ELSE p_step.input END;
END $$;

CREATE FUNCTION media.run_needs_original(p_media media.media) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
BEGIN
  RETURN pipeline_anonymizes(p_media.pipeline)
     AND NOT EXISTS (SELECT FROM jobs j WHERE j.media_id = p_media.id AND j.run = p_media.run
                        AND (j.input = 'masked' OR j.result -> 'outputs' @? '$[*] ? (@.name starts with "masked.")'));
END $$;

-- What a job is handed: code ok with its input, or why it may not run. The masked copy that a run is making is kept
-- back with all its outputs; its own steps read it there.
CREATE FUNCTION media.job_input(p_id uuid, OUT code text, OUT object_key text, OUT size bigint, OUT name text, OUT content_type text)
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_job jobs;
  v_media media;
  v_is_masking boolean;
  v_masked outputs;
BEGIN
  SELECT * INTO v_job FROM jobs j WHERE j.id = p_id;
  SELECT * INTO v_media FROM media m WHERE m.id = v_job.media_id;
  v_is_masking := pipeline_anonymizes(v_job.pipeline);
  IF v_job.input = 'none' THEN
    SELECT 'ok', 0, 'anonymized' INTO code, size, name;
    RETURN;
  END IF;
  IF NOT v_media.anonymized OR (v_job.input = 'original' AND v_is_masking) THEN
    code := CASE WHEN v_media.original_gone_at IS NULL THEN 'ok' ELSE 'original_gone' END;
    SELECT v_media.object_key, v_media.size_bytes, v_media.content_type, CASE WHEN v_media.anonymized THEN 'anonymized' ELSE v_media.name END
      INTO object_key, size, content_type, name WHERE code = 'ok';
    RETURN;
  END IF;
  v_masked := CASE WHEN v_job.input = 'masked' THEN masked_base(v_media.id) WHEN NOT v_is_masking THEN masked_copy(v_media) END;
  IF v_is_masking AND v_job.input <> 'masked' THEN
    SELECT o ->> 'name', o ->> 'object_key', (o ->> 'size')::bigint, o ->> 'content_type'
      INTO v_masked.name, v_masked.object_key, v_masked.size_bytes, v_masked.content_type
      FROM jobs b, jsonb_array_elements(b.result -> 'outputs') o
     WHERE b.media_id = v_media.id AND b.run = v_job.run AND o ->> 'name' LIKE 'masked.%' LIMIT 1;
  END IF;
  code := CASE WHEN v_masked.object_key IS NULL THEN 'anonymized' ELSE 'ok' END;
  SELECT v_masked.object_key, v_masked.size_bytes, v_masked.content_type, 'anonymized' || substr(v_masked.name, length('masked.'))
    INTO object_key, size, content_type, name WHERE code = 'ok';
END $$;

-- A job that may not run fails where it would be handed out. That takes the media's lock after the job's, so it is
-- tried only: where somebody has the media in hand the job waits a second.
CREATE FUNCTION media.job_refuse(p_id uuid, p_code text) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
BEGIN
  SELECT * INTO v_job FROM jobs WHERE id = p_id;
  PERFORM FROM media m WHERE m.id = v_job.media_id FOR UPDATE SKIP LOCKED;
  IF FOUND THEN
    PERFORM job_end_attempt(v_job, false, p_code, CASE p_code WHEN 'original_gone' THEN 'the original has been deleted'
                                                             ELSE 'there is no masked copy to start from' END);
  ELSE
    UPDATE jobs SET not_before = now() + interval '1s' WHERE id = p_id;
  END IF;
END $$;

-- A run that anonymizes is ready: what it has made may be seen. run_publish() names its outputs, and has ended every
-- run before it. The probe is one of the masked copy: job_finish() keeps no other.
CREATE FUNCTION media.masks_publish(p_media media.media) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_probe jsonb;
  v_days int;
  v_due_at timestamptz;
BEGIN
  SELECT j.result -> 'probe' INTO v_probe FROM jobs j
   WHERE j.media_id = p_media.id AND j.run = p_media.run AND j.result ? 'probe' ORDER BY j.input = 'media' DESC, j.finished_at DESC LIMIT 1;
  SELECT (j.params ->> 'keep_original_days')::int INTO v_days FROM jobs j
   WHERE j.media_id = p_media.id AND j.run = p_media.run AND j.params ? 'keep_original_days' LIMIT 1;
  UPDATE media SET withdrawn = false, probe = v_probe,
         original_due_at = least(original_due_at, now() + make_interval(days => coalesce(v_days, 30)))   -- never later than said before
   WHERE id = p_media.id RETURNING original_due_at INTO v_due_at;
  IF v_due_at <= now() THEN
    PERFORM original_drop(p_media.id);
  END IF;
END $$;

-- ---- the end of originals ----

-- Its bytes still count for the quota: what was once taken in counts until the media are deleted.
CREATE FUNCTION media.original_drop(p_media uuid) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE objects SET state = 'doomed', retry_at = now(), all_versions = true
   WHERE object_key = (SELECT object_key FROM media WHERE id = p_media) AND state = 'live';
  UPDATE media SET original_gone_at = now(), revision = revision + 1 WHERE id = p_media AND original_gone_at IS NULL;
END $$;

-- Originals that are due, but for those that a run is about to read. -> how many
CREATE FUNCTION media.janitor_originals(p_limit int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_id uuid;
  v_count bigint := 0;
BEGIN
  FOR v_id IN
    SELECT m.id FROM media m WHERE m.original_due_at <= now() AND m.original_gone_at IS NULL
       AND (m.state <> 'processing' OR NOT pipeline_anonymizes(m.pipeline))
     ORDER BY m.original_due_at LIMIT p_limit FOR UPDATE SKIP LOCKED
  LOOP
    PERFORM original_drop(v_id);
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $$;

-- ---- edits ----

-- Segments that a job of an edit takes over: [{"track", "from", "to"}], numbers; with the first goes the init segment.
-- An edit that failed may have taken some of its base's: those that a job of this step has, the others it rendered itself.
CREATE FUNCTION media.segments_move(p_job media.jobs, p_list jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_item jsonb;
  v_base int := (p_job.params #>> '{edit,base_run}')::int;
  v_from int;
  v_to int;
BEGIN
  FOR v_item IN SELECT * FROM jsonb_array_elements(p_list) LOOP
    v_from := (v_item ->> 'from')::int;
    v_to := (v_item ->> 'to')::int;
    INSERT INTO tracks (media_id, run, name, job_id, info, segments)      -- who writes the first segment describes it
    SELECT t.media_id, p_job.run, t.name, p_job.id, t.info, t.segments FROM tracks t JOIN jobs j ON j.id = t.job_id
     WHERE v_from <= 1 AND t.media_id = p_job.media_id AND t.name = v_item ->> 'track' AND t.run >= v_base AND t.run < p_job.run
       AND j.pipeline = p_job.pipeline AND (t.run = v_base OR j.step = p_job.step) ORDER BY t.run LIMIT 1
    ON CONFLICT DO NOTHING;
    WITH base AS (
      SELECT DISTINCT ON (s.number) s.run, s.number FROM segments s JOIN jobs j ON j.id = s.job_id
       WHERE s.media_id = p_job.media_id AND s.track = v_item ->> 'track' AND s.run >= v_base AND s.run < p_job.run
         AND s.number BETWEEN CASE v_from WHEN 1 THEN 0 ELSE v_from END AND v_to AND j.pipeline = p_job.pipeline
         AND (s.run = v_base OR j.step = p_job.step)      -- behind the base: taken from it, not rendered by an edit that came to nothing
       ORDER BY s.number, s.run), moved AS (
      UPDATE segments s SET run = p_job.run, job_id = p_job.id FROM base b
       WHERE s.media_id = p_job.media_id AND s.track = v_item ->> 'track' AND s.run = b.run AND s.number = b.number
      RETURNING s.object_key)
    UPDATE objects o SET job_id = p_job.id, fence = p_job.fence FROM moved m WHERE o.object_key = m.object_key;
    IF v_to < v_from OR v_to - v_from + 1 IS DISTINCT FROM (
         SELECT count(*) FROM segments s WHERE s.media_id = p_job.media_id AND s.run = p_job.run
            AND s.track = v_item ->> 'track' AND s.number BETWEEN v_from AND v_to) THEN
      RAISE EXCEPTION 'job % takes over segments that are not there: %', p_job.id, v_item USING ERRCODE = 'check_violation';
    END IF;
  END LOOP;
END $$;

-- What a PATCH of regions may say: null, or why not.
CREATE FUNCTION media.regions_fault(p_edit jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_ids jsonb := '{"type": "array", "min": 0, "max": 1000, "unique": "id", "items": {"type": "integer", "min": 1, "max": 2147483647}}';
  v_rule jsonb := jsonb_build_object('remove', v_ids, 'keep', v_ids, 'mask', v_ids, 'add', '{
    "type": "array", "min": 0, "max": 100, "items": {"type": "object", "required": ["box"], "members": {
      "box":  {"type": "array", "min": 4, "max": 4, "items": {"type": "number", "min": 0, "max": 1}},
      "from": {"type": "number", "min": 0, "max": 86400},
      "to":   {"type": "number", "min": 0, "max": 86400}}}}'::jsonb);
  v_fault text;
  v_r jsonb;
  v_n int;
BEGIN
  IF jsonb_typeof(p_edit) IS DISTINCT FROM 'object' OR p_edit = '{}' THEN
    RETURN 'one of add, remove, keep and mask is needed';
  END IF;
  SELECT CASE WHEN v_rule ? e.key THEN value_fault(e.key, v_rule -> e.key, e.value) ELSE left(e.key, 64) || ': unknown' END INTO v_fault
    FROM jsonb_each(p_edit) e
   WHERE NOT v_rule ? e.key OR value_fault(e.key, v_rule -> e.key, e.value) IS NOT NULL ORDER BY e.key LIMIT 1;
  IF v_fault IS NOT NULL THEN
    RETURN v_fault;
  END IF;
  FOR v_r, v_n IN SELECT r.value, r.ordinality - 1 FROM jsonb_array_elements(p_edit -> 'add') WITH ORDINALITY r LOOP
    IF (v_r #>> '{box,2}')::numeric = 0 OR (v_r #>> '{box,3}')::numeric = 0 THEN
      RETURN format('add[%s].box: width and height must be greater than 0', v_n);
    END IF;
    IF (v_r #>> '{box,0}')::numeric + (v_r #>> '{box,2}')::numeric > 1.000001
       OR (v_r #>> '{box,1}')::numeric + (v_r #>> '{box,3}')::numeric > 1.000001 THEN
      RETURN format('add[%s].box: reaches out of the picture, which is 1 wide and 1 high', v_n);
    END IF;
    IF (v_r ->> 'to')::numeric <= coalesce((v_r ->> 'from')::numeric, 0) THEN
      RETURN format('add[%s].to: must be greater than from', v_n);
    END IF;
  END LOOP;
  RETURN NULL;
END $$;

-- media.regions after a change: {"next": id, "regions": [{"id","box","from","to"}], "kept": [track ids]}
CREATE FUNCTION media.regions_apply(p_regions jsonb, p_edit jsonb, OUT regions jsonb, OUT fault text)
LANGUAGE plpgsql IMMUTABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_list jsonb;
  v_kept jsonb;
  v_next int;
  v_item jsonb;
BEGIN
  regions := coalesce(p_regions, '{"next": 1, "regions": [], "kept": []}');
  v_list := regions -> 'regions';
  v_kept := regions -> 'kept';
  v_next := (regions ->> 'next')::int;
  SELECT format('remove[%s]: there is no region %s', r.ordinality - 1, r.value) INTO fault
    FROM jsonb_array_elements(p_edit -> 'remove') WITH ORDINALITY r
   WHERE NOT v_list @> jsonb_build_array(jsonb_build_object('id', r.value)) LIMIT 1;
  IF fault IS NULL THEN
    SELECT format('mask[%s]: track %s is not kept unmasked', r.ordinality - 1, r.value) INTO fault
      FROM jsonb_array_elements(p_edit -> 'mask') WITH ORDINALITY r WHERE NOT v_kept @> r.value LIMIT 1;
  END IF;
  SELECT coalesce(jsonb_agg(r), '[]') INTO v_list FROM jsonb_array_elements(v_list) r
   WHERE NOT coalesce(p_edit -> 'remove' @> (r -> 'id'), false);
  FOR v_item IN SELECT * FROM jsonb_array_elements(p_edit -> 'add') LOOP
    v_list := v_list || jsonb_build_array(v_item || jsonb_build_object('id', v_next));
    v_next := v_next + 1;
  END LOOP;
  SELECT coalesce(jsonb_agg(DISTINCT k), '[]') INTO v_kept
    FROM (SELECT jsonb_array_elements(v_kept) UNION SELECT jsonb_array_elements(p_edit -> 'keep')) x (k)
   WHERE NOT coalesce(p_edit -> 'mask' @> k, false);
  IF fault IS NULL AND (jsonb_array_length(v_list) > 256 OR jsonb_array_length(v_kept) > 4096) THEN
    fault := 'there may be 256 regions and 4096 tracks that are kept';
  END IF;
  regions := jsonb_build_object('next', v_next, 'regions', v_list, 'kept', v_kept);
END $$;

-- Makes the jobs of an edit. Of a video that can be read again it is decided anew which pictures change (associate),
-- by what that step has kept (member "kept" of its range): index, detections and sound are taken over with the jobs
-- that made them, also by an edit in between that came to nothing. Anything else is masked anew as a whole; a picture
-- by what was found in it the first time, so that its tracks have the same numbers.
CREATE FUNCTION media.edit_start(p_media uuid, p_base media.jobs, p_edit jsonb) RETURNS jsonb
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
DECLARE
  v_media media;
  v_is_gone boolean := p_edit ? 'base';
  v_associate jobs;
  v_range jsonb;
  v_steps text[];
  v_taken uuid[];
  v_outbox jsonb;
BEGIN
  SELECT * INTO v_media FROM media WHERE id = p_media;
  SELECT * INTO v_associate FROM jobs j WHERE j.media_id = p_media AND j.run = p_base.run AND j.step = 'associate' AND NOT v_is_gone;
  v_range := v_associate.range || jsonb_build_object('kept', v_associate.result #> '{keep,0}');
  v_steps := CASE WHEN v_is_gone THEN '{voice}' WHEN v_associate.id IS NOT NULL THEN '{anonymize,detect,voice}' ELSE '{}' END;
  WITH taken AS (
    UPDATE jobs j SET run = v_media.run
     WHERE j.media_id = p_media AND j.run BETWEEN p_base.run AND v_media.run - 1 AND j.step = ANY (v_steps)
       AND j.state = 'succeeded'
    RETURNING j.id)
  SELECT array_agg(t.id) INTO v_taken FROM taken t;
  UPDATE tracks SET run = v_media.run WHERE job_id = ANY (v_taken);
  UPDATE segments SET run = v_media.run WHERE job_id = ANY (v_taken);
  INSERT INTO jobs (media_id, owner_id, run, pipeline, step, range, queue, depends_on, max_attempts, priority, input, params)
  SELECT p_media, v_media.owner_id, v_media.run, s.pipeline, s.step,
         CASE s.step WHEN 'associate' THEN v_range
                     WHEN 'anonymize' THEN CASE WHEN NOT v_is_gone AND p_base.result #> '{keep,0}' IS NOT NULL
                                                THEN jsonb_build_object('kept', p_base.result #> '{keep,0}') END END,
         s.queue, s.depends_on, s.max_attempts, s.priority, edit_input(s, p_edit), job_params(s, v_media, p_edit)
    FROM pipeline_steps s
   WHERE s.pipeline = p_base.pipeline
     AND CASE WHEN s.fan_out THEN s.step = v_associate.step ELSE v_associate.id IS NULL OR s.step <> 'anonymize' END;
  v_outbox := media_advance(p_media);
  RETURN v_outbox || media_settle(p_media);
END $$;

CREATE FUNCTION media.media_regions(p_owner uuid, p_id uuid, p_edit jsonb)
RETURNS TABLE (code text, detail text, media text, outbox text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_media media := media_own(p_owner, p_id);
  v_fault text := regions_fault(p_edit);
  v_base jobs;
  v_regions jsonb;
  v_edit jsonb;
BEGIN
  outbox := '[]';
  IF v_media.id IS NOT NULL AND v_fault IS NULL AND v_media.anonymized THEN
    SELECT a.regions, a.fault INTO v_regions, v_fault FROM regions_apply(v_media.regions, p_edit) a;
    SELECT j.* INTO v_base FROM jobs j WHERE j.id = (masked_base(p_id)).job_id;
  END IF;
  SELECT c, d INTO code, detail FROM (VALUES
    (v_media.id IS NULL, 'not_found', NULL),
    (v_fault LIKE '%: unknown', 'unknown_field', v_fault),
    (v_fault IS NOT NULL, 'bad_request', v_fault),
    (NOT v_media.anonymized, 'not_anonymized', 'there is no masked copy to change'),
    (v_media.state = 'processing', 'conflict', format('pipeline %s is still at work: cancel it first', v_media.pipeline)),
    (v_base.id IS NULL OR (v_base.run <> v_media.run AND v_media.original_gone_at IS NULL AND pipeline_anonymizes(v_media.pipeline) AND NOT EXISTS (
       SELECT FROM jobs j WHERE j.media_id = p_id AND j.run = v_media.run AND j.params -> 'edit' ? 'base_run')),
     'conflict', 'there is no masked copy to change: run a pipeline that makes one first'),
    (v_media.original_gone_at IS NOT NULL AND p_edit ?| '{remove,keep,mask}', 'original_gone',
     'the original has been deleted: regions may be added, nothing can be unmasked')) t (is_so, c, d)
   WHERE is_so LIMIT 1;
  IF code IS NOT NULL THEN
    RETURN NEXT;
    RETURN;
  END IF;
  UPDATE media SET run = run + 1, revision = revision + 1, pipeline = v_base.pipeline, params = mask_params, regions = v_regions,
         state = 'processing', error_code = NULL, error_detail = NULL, finished_at = NULL, withdrawn = true, probe = NULL
   WHERE id = p_id;
  v_edit := v_regions - 'next' || jsonb_build_object('base_run', v_base.run)
         || CASE WHEN v_media.original_gone_at IS NOT NULL THEN '{"base": "masked"}' ELSE '{}' END::jsonb;
  outbox := edit_start(p_id, v_base, v_edit)::text;
  code := 'ok';
  media := media_answer(p_id);
  RETURN NEXT;
END $$;

-- ---- the pipelines ----

INSERT INTO media.pipelines (name, description, main_steps, anonymizes) VALUES
  ('anonymize', 'Of an image or a video a copy in which nobody can be recognised, and a report', '{anonymize,assemble}', true),
  ('anonymize_video', 'The same of a video, and of the copy a ladder of renditions that plays over HLS and DASH', '{package}', true);

-- Every step reads the same params. An image is done with the first step; that of a video makes the jobs of the others.
INSERT INTO media.pipeline_steps (pipeline, step, queue, depends_on, priority, fan_out, input, params, params_schema)
SELECT p.name, s.step, s.queue, s.depends_on::text[], s.priority, s.step <> 'anonymize', s.input, '{"keep_original_days": 30}', '{
     "classes":       {"type": "array", "min": 1, "max": 4, "unique": "class", "items": {"enum": ["face", "person", "vehicle", "plate"]},
                       "default": ["face"]},
     "detector":      {"enum": ["yunet", "yunet_2022mar", "haar"], "default": "yunet"},
     "objects":       {"enum": ["dnn", "hog"], "default": "dnn"},
     "threshold":     {"type": "object", "members": {
                         "face": {"type": "number", "min": 0.2, "max": 1}, "person": {"type": "number", "min": 0.2, "max": 1},
                         "vehicle": {"type": "number", "min": 0.2, "max": 1}, "plate": {"type": "number", "min": 0.2, "max": 1}}},
     "grow":          {"type": "number", "min": 0, "max": 2, "default": 0.2},
     "shape":         {"enum": ["ellipse", "box"], "default": "ellipse"},
     "mask":          {"enum": ["solid", "mosaic", "image", "blur", "pixelate"], "default": "solid"},
     "color":         {"type": "string", "pattern": "^#[0-9A-Fa-f]{6}$", "like": "#rrggbb", "default": "#000000"},
     "feather":       {"type": "integer", "min": 0, "max": 64, "default": 0},
     "regions":       {"type": "array", "min": 0, "max": 256, "items": {"type": "object", "required": ["box"], "members": {
                         "box":  {"type": "array", "min": 4, "max": 4, "items": {"type": "number", "min": 0, "max": 1}},
                         "from": {"type": "number", "min": 0, "max": 86400},
                         "to":   {"type": "number", "min": 0, "max": 86400},
                         "mode": {"enum": ["mask", "never"]}}}},
     "every":         {"type": "integer", "min": 1, "max": 30, "default": 3},
     "keep_metadata": {"type": "array", "min": 0, "max": 3, "unique": "name", "items": {"enum": ["icc", "copyright", "date"]}, "default": []},
     "voice":         {"enum": ["keep", "mute", "disguise", "copy"], "default": "keep"},
     "on_damage":     {"enum": ["fail", "mask_all"], "default": "fail"},
     "crf":           {"type": "integer", "min": 0, "max": 40, "default": 16},
     "preset":        {"enum": ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"],
                       "default": "medium"},
     "keep_original_days": {"type": "integer", "min": 0, "max": 3650}
   }'::jsonb
  FROM (VALUES ('anonymize'), ('anonymize_video')) p (name), (VALUES
  ('anonymize', 'mask', '{}', 30, 'original'),
  ('detect', 'mask_long', '{anonymize}', 20, 'original'),
  ('voice', 'mask_long', '{anonymize}', 10, 'original'),
  ('associate', 'mask', '{anonymize,detect}', 30, 'none'),
  ('render', 'mask_long', '{anonymize,detect,associate}', 20, 'original'),
  ('assemble', 'mask', '{anonymize,detect,associate,render,voice}', 30, 'none')) s (step, queue, depends_on, priority, input);

INSERT INTO media.pipeline_steps (pipeline, step, queue, depends_on, priority, fan_out, params_schema)
SELECT 'anonymize_video', s.step, s.queue,
       CASE s.step WHEN 'index' THEN '{anonymize,detect,associate,render,voice,assemble}' ELSE s.depends_on END,
       s.priority, s.fan_out, s.params_schema
  FROM media.pipeline_steps s WHERE s.pipeline = 'video';

GRANT EXECUTE ON FUNCTION media.media_regions TO media_gateway;
GRANT EXECUTE ON FUNCTION media.janitor_originals TO media_janitor;
