-- Who is there to work. A worker says so while it looks for jobs, and for how long that holds; while it runs one, the job's
-- lease says it. Rows are for people (mediactl workers): no job hangs on them.
CREATE TABLE media.workers (
  name        text PRIMARY KEY,
  program     text NOT NULL,
  queue       text NOT NULL,
  started_at  timestamptz NOT NULL DEFAULT now(),
  alive_until timestamptz NOT NULL
);

CREATE FUNCTION media.worker_seen(p_name text, p_program text, p_queue text, p_seconds int) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  PERFORM set_config('synchronous_commit', 'off', true);
  INSERT INTO workers (name, program, queue, alive_until) VALUES (p_name, p_program, p_queue, now() + make_interval(secs => p_seconds))
    ON CONFLICT (name) DO UPDATE SET program = excluded.program, queue = excluded.queue, alive_until = excluded.alive_until;
END $$;

-- It has stopped.
CREATE FUNCTION media.worker_gone(p_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  DELETE FROM workers WHERE name = p_name;
END $$;

CREATE FUNCTION media.ctl_workers()
RETURNS TABLE (name text, program text, queue text, since text, job text, media_id text, step text, progress double precision, job_since text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT w.name, w.program, w.queue, iso8601(w.started_at), j.id::text, j.media_id::text, j.step, j.progress, iso8601(j.started_at)
    FROM workers w LEFT JOIN jobs j ON j.worker = w.name AND j.state = 'running' AND j.lease_until > now()
   WHERE w.alive_until > now() OR j.id IS NOT NULL ORDER BY w.queue, w.name
$$;

-- Those that ended without a word. -> how many
CREATE FUNCTION media.janitor_workers() RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_n int;
BEGIN
  DELETE FROM workers w WHERE w.alive_until < now() - interval '1h'
    AND NOT EXISTS (SELECT FROM jobs j WHERE j.worker = w.name AND j.state = 'running');
  GET DIAGNOSTICS v_n = ROW_COUNT;
  RETURN v_n;
END $$;

GRANT EXECUTE ON FUNCTION media.worker_seen, media.worker_gone TO media_worker, media_notifier;
GRANT EXECUTE ON FUNCTION media.ctl_workers TO media_ctl;
GRANT EXECUTE ON FUNCTION media.janitor_workers TO media_janitor;
