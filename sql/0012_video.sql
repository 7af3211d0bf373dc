-- What a ladder is made of. Tracks and segments of a run belong to the jobs that wrote them; playlists and
-- manifests, which are outputs, lead to them by the paths cmaf/RUN/TRACK/init.mp4 and cmaf/RUN/TRACK/N.m4s (.vtt).

-- info: members of a track in libmedia's media/cmafset.h, but name, revision and segments.
CREATE TABLE media.tracks (
  media_id uuid NOT NULL REFERENCES media.media ON DELETE CASCADE,
  run      int NOT NULL,
  name     text NOT NULL CHECK (name ~ '^[a-z0-9_-]{1,63}$'),
  job_id   uuid NOT NULL REFERENCES media.jobs ON DELETE CASCADE,
  info     jsonb NOT NULL CHECK (coalesce(info ->> 'kind', '') IN ('video', 'audio', 'text')),
  segments int NOT NULL CHECK (segments > 0),          -- how many it will have
  PRIMARY KEY (media_id, run, name)
);
CREATE INDEX tracks_job ON media.tracks (job_id);

CREATE TABLE media.segments (
  media_id     uuid NOT NULL REFERENCES media.media ON DELETE CASCADE,
  run          int NOT NULL,
  track        text NOT NULL,
  number       int NOT NULL CHECK (number >= 0),       -- 0: the init segment
  job_id       uuid NOT NULL REFERENCES media.jobs ON DELETE CASCADE,
  object_key   text NOT NULL UNIQUE,
  size_bytes   bigint NOT NULL CHECK (size_bytes > 0),
  sha256       text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  etag         text NOT NULL,
  duration     bigint NOT NULL DEFAULT 0,              -- ticks of the track
  iframe       int8range,                              -- the bytes of its first picture
  created_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (media_id, run, track, number)
);
CREATE INDEX segments_job ON media.segments (job_id);

-- What an attempt has written and its job names is there to stay.
CREATE FUNCTION media.object_keep(p_job media.jobs, p_object_key text) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  UPDATE objects SET state = 'live', s3_upload_id = NULL
   WHERE object_key = p_object_key AND job_id = p_job.id AND fence = p_job.fence AND state = 'pending';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'job % never registered object %', p_job.id, p_object_key USING ERRCODE = 'check_violation';
  END IF;
END $$;

-- Tracks, segments and objects for later steps ("keep") of a job's result.
CREATE FUNCTION media.segments_put(p_job media.jobs, p_result jsonb) RETURNS void
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  PERFORM object_keep(p_job, k ->> 'object_key') FROM jsonb_array_elements(
    coalesce(p_result -> 'segments', '[]') || coalesce(p_result -> 'keep', '[]')) k;
  INSERT INTO tracks (media_id, run, name, job_id, info, segments)
  SELECT p_job.media_id, p_job.run, t ->> 'name', p_job.id, t -> 'info', (t ->> 'segments')::int
    FROM jsonb_array_elements(coalesce(p_result -> 'tracks', '[]')) t;
  INSERT INTO segments (media_id, run, track, number, job_id, object_key, size_bytes, sha256, etag, duration, iframe)
  SELECT p_job.media_id, p_job.run, s ->> 'track', (s ->> 'number')::int, p_job.id, s ->> 'object_key',
         (s ->> 'size')::bigint, s ->> 'sha256', s ->> 'etag', coalesce((s ->> 'duration')::bigint, 0),
         CASE WHEN s ->> 'iframe_offset' IS NOT NULL THEN      -- a range of nulls is all bytes there are
           int8range((s ->> 'iframe_offset')::bigint, (s ->> 'iframe_offset')::bigint + (s ->> 'iframe_bytes')::bigint) END
    FROM jsonb_array_elements(coalesce(p_result -> 'segments', '[]')) s;
END $$;

-- The tracks of a run that are whole, as the document that media/cmafset.h reads. Tracks of jobs that read something
-- else than the media are pieces of a masked copy, no renditions.
CREATE FUNCTION media.run_set(p_media uuid, p_run int) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = media, pg_temp AS $$
  SELECT jsonb_build_object('segments', '../cmaf/', 'tracks', coalesce(jsonb_agg(
           t.info || jsonb_build_object('name', t.name, 'revision', p_run, 'segments', g.list)
           ORDER BY array_position('{video,audio,text}', t.info ->> 'kind'), (t.info ->> 'height')::int, t.name), '[]'))
    FROM tracks t
    JOIN jobs j ON j.id = t.job_id AND j.input = 'media'
    JOIN LATERAL (
      SELECT count(*) FILTER (WHERE s.number > 0) AS n, bool_or(s.number = 0) AS has_init,
             jsonb_agg(CASE WHEN s.iframe IS NULL THEN jsonb_build_array(s.duration, s.size_bytes)
                            ELSE jsonb_build_array(s.duration, s.size_bytes, lower(s.iframe), upper(s.iframe) - lower(s.iframe))
                       END ORDER BY s.number) FILTER (WHERE s.number > 0) AS list
        FROM segments s WHERE s.media_id = p_media AND s.run = p_run AND s.track = t.name) g ON true
   WHERE t.media_id = p_media AND t.run = p_run AND g.n = t.segments AND (g.has_init OR t.info ->> 'kind' = 'text')
$$;

-- For the package step, under its fence.
CREATE FUNCTION media.job_set(p_id uuid, p_fence bigint) RETURNS TABLE (code text, cmafset text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
  v_code text;
BEGIN
  SELECT * INTO v_job FROM jobs WHERE id = p_id;
  v_code := job_fence_code(v_job, p_fence);
  RETURN QUERY SELECT v_code, CASE v_code WHEN 'ok' THEN run_set(v_job.media_id, v_job.run)::text END;
END $$;

-- The segments of the ladder that is served: what the run of its master playlist has left. For a job of a pipeline that
-- anonymizes: the pieces of the masked copy that its own run has made.
CREATE FUNCTION media.job_ladder(p_id uuid, p_fence bigint) RETURNS TABLE (code text, ladder text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_job jobs;
  v_run int;
  v_is_masking boolean;
BEGIN
  SELECT * INTO v_job FROM jobs WHERE id = p_id;
  v_is_masking := pipeline_anonymizes(v_job.pipeline);
  code := job_fence_code(v_job, p_fence);
  IF code = 'ok' THEN
    v_run := CASE WHEN v_is_masking THEN v_job.run ELSE (
      SELECT j.run FROM outputs o JOIN jobs j ON j.id = o.job_id WHERE o.media_id = v_job.media_id AND o.name = 'hls/master.m3u8') END;
    SELECT jsonb_build_object('tracks', jsonb_agg(jsonb_build_object('name', t.name, 'kind', t.info ->> 'kind',
             'width', t.info -> 'width', 'height', t.info -> 'height', 'timescale', t.info -> 'timescale',
             'ticks', g.ticks, 'segments', g.list)
             ORDER BY t.info ->> 'kind' <> 'video', (t.info ->> 'height')::int, t.name))::text
      INTO ladder
      FROM tracks t
      JOIN jobs j ON j.id = t.job_id AND (j.input = 'media') <> v_is_masking
      JOIN LATERAL (
        SELECT count(*) AS n, sum(s.duration) AS ticks, jsonb_agg(jsonb_build_array(s.object_key, s.size_bytes) ORDER BY s.number) AS list
          FROM segments s WHERE s.media_id = t.media_id AND s.run = t.run AND s.track = t.name) g ON g.n = t.segments + 1
     WHERE t.media_id = v_job.media_id AND t.run = v_run AND t.info ->> 'kind' <> 'text'
    HAVING count(*) > 0;
  END IF;
  RETURN NEXT;
END $$;

-- The segment of a rendition under a path below a media; no row: there is none.
CREATE FUNCTION media.segment_at(p_media uuid, p_path text) RETURNS SETOF media.segments
LANGUAGE plpgsql STABLE SET search_path = media, pg_temp AS $$
DECLARE
  v_part text[] := regexp_match(p_path, '^cmaf/([1-9][0-9]{0,8})/([a-z0-9_-]{1,63})/(init\.mp4|([1-9][0-9]{0,8})\.(m4s|vtt))$');
BEGIN
  RETURN QUERY SELECT s.* FROM segments s JOIN jobs j ON j.id = s.job_id AND j.input = 'media'
   WHERE s.media_id = p_media AND s.run = v_part[1]::int AND s.track = v_part[2] AND s.number = coalesce(v_part[4], '0')::int;
END $$;

GRANT EXECUTE ON FUNCTION media.job_set, media.job_ladder TO media_worker;
