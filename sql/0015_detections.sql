-- For the step associate, under its fence: the detections of all ranges in the order of the film.
CREATE FUNCTION media.job_detections(p_id uuid, p_fence bigint) RETURNS TABLE (code text, detections text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
BEGIN
  SELECT * INTO v_job FROM jobs WHERE id = p_id;
  code := job_fence_code(v_job, p_fence);
  IF code = 'ok' THEN
    SELECT coalesce(jsonb_agg(jsonb_build_array(k -> 'object_key', k -> 'size') ORDER BY j.ordinal), '[]')::text
      INTO detections
      FROM jobs j, jsonb_array_elements(j.result -> 'keep') k
     WHERE j.media_id = v_job.media_id AND j.run = v_job.run AND j.step = 'detect' AND j.state = 'succeeded';
  END IF;
  RETURN NEXT;
END $$;

GRANT EXECUTE ON FUNCTION media.job_detections TO media_worker;
