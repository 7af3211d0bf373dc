-- How much there is to do, for whoever scales the workers (KEDA, by the role media_scaler) and for the janitor's metrics.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'media_scaler') THEN
    CREATE ROLE media_scaler NOLOGIN;
  END IF;
END $$;

-- Every queue has its row. queued: jobs that could be claimed now; oldest_seconds: for how long the first of them could have been.
CREATE FUNCTION media.queue_load() RETURNS TABLE (queue text, queued bigint, running bigint, oldest_seconds double precision)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT q.queue, coalesce(d.n, 0), coalesce(r.n, 0), coalesce(extract(epoch FROM now() - d.since), 0)::double precision
    FROM unnest('{short,long,mask,mask_long,notify}'::text[]) q (queue)
    LEFT JOIN (SELECT j.queue, count(*) AS n, min(j.not_before) AS since FROM jobs j
                WHERE j.state = 'queued' AND j.not_before <= now() GROUP BY j.queue) d USING (queue)
    LEFT JOIN (SELECT j.queue, count(*) AS n FROM jobs j
                WHERE j.state = 'running' AND j.lease_until IS NOT NULL GROUP BY j.queue) r USING (queue)
$$;

GRANT USAGE ON SCHEMA media TO media_scaler;
GRANT EXECUTE ON FUNCTION media.queue_load TO media_scaler, media_janitor;
