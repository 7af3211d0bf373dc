-- Functions of the janitor (role media_janitor). Every one may run in several
-- replicas at once: rows are taken with SKIP LOCKED or under the usual locks. What a
-- query takes it takes as an array: joined, the planner could run the inner query
-- again, which would take more than its limit.

CREATE FUNCTION media.janitor_leases() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_id uuid;
  v_job jobs;
  v_count bigint := 0;
BEGIN
  -- in the order of the media, which get locked: two janitors never hold what the other wants
  FOR v_id IN SELECT id FROM jobs WHERE state = 'running' AND lease_until < now() ORDER BY media_id, id LOOP
    v_job := job_lock(v_id);
    IF v_job.state = 'running' AND v_job.lease_until < now() THEN
      PERFORM job_end_attempt(v_job, true, 'worker_lost',
        format('the worker %s stopped without a word (attempt %s of %s)', v_job.worker, v_job.attempt,
               v_job.max_attempts));
      v_count := v_count + 1;
    END IF;
  END LOOP;
  RETURN v_count;
END $$;

-- A queued job is announced once when it becomes due; one that has been due for
-- p_lost_s without anybody taking it is announced again, should its message be lost.
CREATE FUNCTION media.janitor_announce(p_lost_s int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
  v_count bigint := 0;
BEGIN
  FOR v_job IN
    SELECT * FROM jobs j WHERE j.state = 'queued' AND j.not_before <= now()
       AND (j.announced_at IS NULL OR j.announced_at < j.not_before
            OR j.announced_at < now() - make_interval(secs => p_lost_s))
       AND NOT EXISTS (SELECT FROM outbox o WHERE o.job_id = j.id)
     ORDER BY j.not_before LIMIT 1000 FOR UPDATE SKIP LOCKED
  LOOP
    PERFORM job_announce(v_job);
    v_count := v_count + 1;
  END LOOP;
  RETURN v_count;
END $$;

CREATE FUNCTION media.janitor_outbox(p_min_age_s int, p_limit int)
RETURNS TABLE (id bigint, queue text, message text)
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  UPDATE outbox o SET retry_at = now() + interval '30s'
   WHERE o.id = ANY (ARRAY(SELECT x.id FROM outbox x
                            WHERE x.created_at <= now() - make_interval(secs => p_min_age_s) AND x.retry_at <= now()
                            ORDER BY x.created_at LIMIT p_limit FOR UPDATE SKIP LOCKED))
  RETURNING o.id, o.queue, o.message
$$;

-- A gateway that fell silent may have a request at S3 which is still at work: its object is
-- deleted after a grace. Keys of uploads are forgotten in the same pass.
CREATE FUNCTION media.janitor_uploads(p_stale_s int) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_key text;
  v_count bigint := 0;
BEGIN
  FOR v_key IN
    DELETE FROM uploads u WHERE u.id = ANY (ARRAY(
      SELECT x.id FROM uploads x WHERE x.heartbeat_at < now() - make_interval(secs => p_stale_s)
       ORDER BY x.id LIMIT 1000 FOR UPDATE SKIP LOCKED))
    RETURNING u.object_key
  LOOP
    UPDATE objects SET state = 'doomed', retry_at = now() + object_grace(), look_again = true
     WHERE object_key = v_key AND state = 'pending';
    v_count := v_count + 1;
  END LOOP;
  DELETE FROM upload_keys WHERE expires_at < now();
  RETURN v_count;
END $$;

CREATE FUNCTION media.janitor_doomed(p_limit int) RETURNS TABLE (object_key text, s3_upload_id text, all_versions boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
BEGIN
  -- pending objects whose job is gone altogether (its media was removed under a worker)
  UPDATE objects o SET state = 'doomed', retry_at = now() + object_grace()
   WHERE o.state = 'pending' AND o.job_id IS NOT NULL AND NOT EXISTS (SELECT FROM jobs j WHERE j.id = o.job_id);
  RETURN QUERY
  UPDATE objects o SET retry_at = now() + interval '60s'
   WHERE o.object_key = ANY (ARRAY(SELECT x.object_key FROM objects x
                                    WHERE x.state = 'doomed' AND x.retry_at <= now()
                                    ORDER BY x.retry_at LIMIT p_limit FOR UPDATE SKIP LOCKED))
  RETURNING o.object_key, o.s3_upload_id, o.all_versions;
END $$;

-- How long a PUT that its client walked away from may take to appear: deleted once more
-- after that. ALTER DATABASE ... SET media.object_look_again changes it.
CREATE FUNCTION media.object_look_again() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT coalesce(nullif(current_setting('media.object_look_again', true), ''), '10min')::interval
$$;

CREATE FUNCTION media.janitor_object_gone(p_object_key text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE objects SET look_again = false, s3_upload_id = NULL, retry_at = now() + object_look_again()
   WHERE object_key = p_object_key AND state = 'doomed' AND look_again;
  IF NOT FOUND THEN
    DELETE FROM objects WHERE object_key = p_object_key AND state = 'doomed';
  END IF;
END $$;

CREATE FUNCTION media.janitor_strays(p_limit int) RETURNS TABLE (object_key text)
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  UPDATE objects o SET strays_at = now() + interval '60s'
   WHERE o.object_key = ANY (ARRAY(SELECT x.object_key FROM objects x
                                    WHERE x.state = 'live' AND x.strays_at <= now()
                                    ORDER BY x.strays_at LIMIT p_limit FOR UPDATE SKIP LOCKED))
  RETURNING o.object_key
$$;

CREATE FUNCTION media.janitor_strays_gone(p_object_key text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = media, pg_temp AS $$
  UPDATE objects SET strays_at = NULL WHERE object_key = p_object_key
$$;

CREATE FUNCTION media.janitor_sessions() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_count bigint;
BEGIN
  DELETE FROM sessions WHERE expires_at < now();
  GET DIAGNOSTICS v_count = ROW_COUNT;
  -- longer than any token may live that they end: a playback token's week is the most
  DELETE FROM revocations WHERE ended_at < now() - greatest(token_life(), interval '7 days') - interval '1 day';
  RETURN v_count;
END $$;
