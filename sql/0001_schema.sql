-- Tables, states and the rules the database itself enforces. All access by the
-- programs goes through the functions of the following files.

CREATE SCHEMA media;
REVOKE ALL ON SCHEMA media FROM PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA media REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- What runs in every upload is in PL/pgSQL, which keeps its plans as long as the session: a
-- function in SQL that cannot be inlined is parsed and planned anew by each call.

-- UUID version 7 (RFC 9562 5.7): ids sort by time of creation.
CREATE FUNCTION media.uuid7() RETURNS uuid
LANGUAGE plpgsql VOLATILE PARALLEL SAFE SET search_path = pg_catalog AS $$
BEGIN
  RETURN encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
           PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
           FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid;
END $$;

-- When such an id was made.
CREATE FUNCTION media.uuid7_time(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog AS $$
  SELECT to_timestamp(('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint / 1000.0)
$$;

CREATE TABLE media.users (
  id            uuid PRIMARY KEY DEFAULT media.uuid7(),
  email         text NOT NULL CHECK (length(email) BETWEEN 3 AND 254 AND email LIKE '_%@_%'
                                     AND email !~ '[[:cntrl:][:space:]]'),
  password_hash text NOT NULL CHECK (password_hash LIKE '$%'),
  roles         text[] NOT NULL DEFAULT '{user}',
  quota_bytes   bigint CHECK (quota_bytes >= -1),          -- null: what the gateway's media_quota says; -1: no limit
  quota_uploads int CHECK (quota_uploads >= -1),           -- open at once; null and -1 as above
  disabled_at   timestamptz,
  created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX users_email ON media.users (lower(email));

-- Refresh tokens, by hash; a family is one login and its refreshes, its id the "sid" of the access
-- tokens. A token that was exchanged stays until it expires, so that a second use of it is seen.
CREATE TABLE media.sessions (
  token_sha256 text PRIMARY KEY CHECK (token_sha256 ~ '^[0-9a-f]{64}$'),
  user_id      uuid NOT NULL REFERENCES media.users ON DELETE CASCADE,
  family       uuid NOT NULL,
  replaced_by  text,                                   -- null: not exchanged yet
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL
);
CREATE INDEX sessions_user ON media.sessions (user_id);
CREATE INDEX sessions_family ON media.sessions (family);
CREATE INDEX sessions_expiry ON media.sessions (expires_at);

-- What ended before its tokens expire: one login, or every login of a user that began until then.
CREATE TABLE media.revocations (
  subject  uuid PRIMARY KEY,                           -- the login's id or the user's
  kind     text NOT NULL CHECK (kind IN ('session', 'user')),
  ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  xid      xid8 NOT NULL DEFAULT pg_current_xact_id()  -- gateways ask for what is new by it
);
CREATE INDEX revocations_xid ON media.revocations (xid);
CREATE INDEX revocations_ended ON media.revocations (ended_at);

-- A pipeline is a named list of steps; data, editable by the operator.
CREATE TABLE media.pipelines (
  name        text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9_-]{0,62}$'),
  description text NOT NULL,
  main_steps  text[] NOT NULL CHECK (main_steps <> '{}'),     -- whose first output is "the" download
  anonymizes  boolean NOT NULL DEFAULT false                  -- what it has once been run on: see 0014
);

-- params: defaults; params_schema: what an upload may set, by name: a rule of value_fault().
-- fan_out: its jobs are made by the step before it, not at the upload.
-- input: media     the file; of anonymized media their masked copy
--        original  the file: only where the pipeline anonymizes, else as media
--        none      nothing but what steps before it have left
CREATE TABLE media.pipeline_steps (
  pipeline      text NOT NULL REFERENCES media.pipelines ON UPDATE CASCADE ON DELETE CASCADE,
  step          text NOT NULL CHECK (step ~ '^[a-z][a-z0-9_-]{0,62}$'),
  queue         text NOT NULL CHECK (queue IN ('short', 'long', 'mask', 'mask_long', 'notify')),
  depends_on    text[] NOT NULL DEFAULT '{}',
  params        jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(params) = 'object'),
  params_schema jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(params_schema) = 'object'),
  max_attempts  int NOT NULL DEFAULT 3 CHECK (max_attempts BETWEEN 1 AND 100),
  priority      int NOT NULL DEFAULT 0,
  fan_out       boolean NOT NULL DEFAULT false,
  input         text NOT NULL DEFAULT 'media' CHECK (input IN ('media', 'original', 'none')),
  PRIMARY KEY (pipeline, step)
);

-- Upload intents: exist before the first byte goes to S3, closed by the commit. No byte is
-- promised that was not reserved here before, so a commit never fails for the quota.
CREATE TABLE media.uploads (
  id              uuid PRIMARY KEY,                    -- becomes the media's id
  owner_id        uuid NOT NULL REFERENCES media.users ON DELETE CASCADE,
  object_key      text NOT NULL UNIQUE,
  name            text,                                -- null: a form tells it later
  reserved_bytes  bigint NOT NULL DEFAULT 0 CHECK (reserved_bytes >= 0),
  idempotency_key text,
  request_id      text,
  heartbeat_at    timestamptz NOT NULL DEFAULT now(),
  created_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX uploads_owner ON media.uploads (owner_id);
CREATE INDEX uploads_heartbeat ON media.uploads (heartbeat_at);

-- What an Idempotency-Key stands for: an upload and, once that is committed, what a
-- repetition is compared with and answered. A key whose upload is neither open nor
-- answered is free.
CREATE TABLE media.upload_keys (
  owner_id   uuid NOT NULL REFERENCES media.users ON DELETE CASCADE,
  key        text NOT NULL CHECK (octet_length(key) BETWEEN 1 AND 255),
  upload_id  uuid NOT NULL,
  request    jsonb,                                    -- upload_request()
  size_bytes bigint,
  sha256     text,
  answer     text,                                     -- body of the 201
  expires_at timestamptz NOT NULL DEFAULT now() + interval '24h',
  PRIMARY KEY (owner_id, key),
  CHECK (num_nulls(request, size_bytes, sha256, answer) IN (0, 4))
);
CREATE INDEX upload_keys_expiry ON media.upload_keys (expires_at);

CREATE TABLE media.media (
  id           uuid PRIMARY KEY,
  owner_id     uuid NOT NULL REFERENCES media.users ON DELETE RESTRICT,
  name         text NOT NULL CHECK (name <> '' AND octet_length(name) <= 255),
  title        text CHECK (octet_length(title) <= 4096),
  content_type text NOT NULL,
  size_bytes   bigint NOT NULL CHECK (size_bytes >= 0),
  sha256       text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  etag         text NOT NULL,
  object_key   text NOT NULL UNIQUE,
  visibility   text NOT NULL DEFAULT 'private' CHECK (visibility IN ('private', 'unlisted', 'public')),
  pipeline     text NOT NULL REFERENCES media.pipelines ON UPDATE CASCADE,
  params       jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(params) = 'object'),
  state        text NOT NULL DEFAULT 'processing'
               CHECK (state IN ('processing', 'ready', 'failed', 'canceled')),
  error_code   text,
  error_detail text,
  probe        jsonb,
  run          int NOT NULL DEFAULT 1,                 -- the last start of a pipeline: pipeline, params,
                                                       -- state and error are of that one
  token_epoch  int NOT NULL DEFAULT 1,                 -- raised: playback tokens end
  revision     bigint NOT NULL DEFAULT 1,
  anonymized   boolean NOT NULL DEFAULT false,         -- for ever; this and the next five: 0014
  withdrawn    boolean NOT NULL DEFAULT false,         -- no output is served until a run that anonymizes is ready
  mask_params  jsonb,                                  -- of the last such run that was asked for
  regions      jsonb,                                  -- what the owner has changed since: regions_apply()
  original_due_at  timestamptz,                        -- the original is deleted then
  original_gone_at timestamptz,
  request_id   text,
  traceparent  text,
  created_at   timestamptz NOT NULL DEFAULT now(),
  finished_at  timestamptz,
  CHECK (anonymized OR num_nonnulls(nullif(withdrawn, false), mask_params, regions, original_due_at, original_gone_at) = 0)
);
CREATE INDEX media_original_due ON media.media (original_due_at) WHERE original_gone_at IS NULL;

CREATE FUNCTION media.media_anonymized_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'media % stays anonymized', OLD.id USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER media_anonymized BEFORE UPDATE OF anonymized, original_gone_at ON media.media FOR EACH ROW
  WHEN ((OLD.anonymized AND NOT NEW.anonymized) OR (OLD.original_gone_at IS NOT NULL AND NEW.original_gone_at IS NULL))
  EXECUTE FUNCTION media.media_anonymized_check();
CREATE INDEX media_owner ON media.media (owner_id, id DESC) INCLUDE (size_bytes);   -- and their sum, for quotas
CREATE INDEX media_name ON media.media (name, owner_id);   -- If-None-Match
CREATE INDEX media_pipeline ON media.media (pipeline);

CREATE TABLE media.jobs (
  id            uuid PRIMARY KEY DEFAULT media.uuid7(),
  media_id      uuid NOT NULL REFERENCES media.media ON DELETE CASCADE,
  owner_id      uuid NOT NULL,                         -- of the media, for fairness
  run           int NOT NULL DEFAULT 1,                -- which start of a pipeline it belongs to
  pipeline      text REFERENCES media.pipelines ON UPDATE CASCADE,      -- null: of none, a notification
  step          text NOT NULL,
  ordinal       int NOT NULL DEFAULT 0,                -- which of a step's jobs
  range         jsonb,
  queue         text NOT NULL CHECK (queue IN ('short', 'long', 'mask', 'mask_long', 'notify')),
  depends_on    text[] NOT NULL DEFAULT '{}',
  essential     boolean NOT NULL DEFAULT true,         -- the media's state hangs on it
  input         text NOT NULL DEFAULT 'media'          -- its step's; masked: the masked copy even while it is withdrawn
                CHECK (input IN ('media', 'original', 'masked', 'none')),
  state         text NOT NULL DEFAULT 'waiting'
                CHECK (state IN ('waiting', 'queued', 'running', 'succeeded', 'failed', 'canceled')),
  attempt       int NOT NULL DEFAULT 0,
  max_attempts  int NOT NULL DEFAULT 3,
  fence         bigint NOT NULL DEFAULT 0,             -- raised by every claim
  priority      int NOT NULL DEFAULT 0,
  params        jsonb NOT NULL DEFAULT '{}',
  result        jsonb,
  lease_until   timestamptz,
  worker        text,
  progress      double precision NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 1),
  eta_seconds   double precision,
  error_code    text,
  error_detail  text,
  not_before    timestamptz NOT NULL DEFAULT now(),
  announced_at  timestamptz,                           -- last outbox row made
  created_at    timestamptz NOT NULL DEFAULT now(),
  started_at    timestamptz,
  finished_at   timestamptz,
  UNIQUE (media_id, run, step, ordinal),
  CHECK ((state = 'running') = (lease_until IS NOT NULL)),
  CHECK (attempt <= max_attempts)
);
CREATE INDEX jobs_pipeline ON media.jobs (pipeline);
CREATE INDEX jobs_due ON media.jobs (queue, owner_id, priority DESC, id) WHERE state = 'queued';
CREATE INDEX jobs_announce ON media.jobs (not_before) WHERE state = 'queued';
CREATE INDEX jobs_lease ON media.jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_running_owner ON media.jobs (owner_id) WHERE state = 'running';
CREATE INDEX jobs_served ON media.jobs (queue, owner_id, started_at) WHERE started_at IS NOT NULL;
CREATE INDEX jobs_state ON media.jobs (state, id DESC);

-- The legal moves, the same list as MEDIA_JOB_MOVES in libmedia (a test compares them).
CREATE TABLE media.job_moves (
  old text NOT NULL,
  new text NOT NULL,
  PRIMARY KEY (old, new)
);
INSERT INTO media.job_moves VALUES
  ('waiting', 'queued'), ('waiting', 'canceled'),
  ('queued', 'running'), ('queued', 'canceled'), ('queued', 'failed'),
  ('running', 'succeeded'), ('running', 'queued'), ('running', 'failed'), ('running', 'canceled'),
  ('failed', 'queued'), ('failed', 'waiting'), ('canceled', 'queued'), ('canceled', 'waiting');

CREATE FUNCTION media.job_move_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  IF NEW.state <> OLD.state
     AND NOT EXISTS (SELECT FROM job_moves m WHERE m.old = OLD.state AND m.new = NEW.state) THEN
    RAISE EXCEPTION 'job % may not move from % to %', OLD.id, OLD.state, NEW.state
      USING ERRCODE = 'check_violation';
  END IF;
  IF NEW.fence < OLD.fence THEN
    RAISE EXCEPTION 'the fence of job % may not go back', OLD.id USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER job_move BEFORE UPDATE OF state, fence ON media.jobs FOR EACH ROW
  WHEN (NEW.state <> OLD.state OR NEW.fence < OLD.fence) EXECUTE FUNCTION media.job_move_check();

-- A job may start in two states only.
CREATE FUNCTION media.job_start_check() RETURNS trigger
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  RAISE EXCEPTION 'a job may not start as %', NEW.state USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER job_start BEFORE INSERT ON media.jobs FOR EACH ROW
  WHEN (NEW.state NOT IN ('waiting', 'queued')) EXECUTE FUNCTION media.job_start_check();

CREATE TABLE media.outputs (
  media_id     uuid NOT NULL REFERENCES media.media ON DELETE CASCADE,
  name         text NOT NULL CHECK (name ~ '^((hls|dash)/)?[a-z0-9_-][a-z0-9._-]{0,63}$' AND name <> 'original'),
  job_id       uuid NOT NULL REFERENCES media.jobs ON DELETE CASCADE,
  kind         text NOT NULL CHECK (kind IN ('audio', 'video', 'image', 'playlist', 'manifest', 'poster',
                                             'sprite', 'vtt', 'report')),
  content_type text NOT NULL,
  size_bytes   bigint NOT NULL CHECK (size_bytes >= 0),
  sha256       text NOT NULL CHECK (sha256 ~ '^[0-9a-f]{64}$'),
  etag         text NOT NULL,
  object_key   text NOT NULL UNIQUE,
  width        int,
  height       int,
  duration     double precision,
  bitrate      bigint,
  created_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (media_id, name)
);
CREATE INDEX outputs_job ON media.outputs (job_id);

-- Every object of the bucket has its row here before it is written. No foreign
-- keys: the row must outlive what it belonged to, until S3 has let go of it.
--   pending  being written by an open upload or by attempt `fence` of a job
--   live     named by media or outputs, or by the result of a job whose run is not done
--   doomed   to be deleted by the janitor
CREATE TABLE media.objects (
  object_key   text PRIMARY KEY,
  media_id     uuid NOT NULL,
  job_id       uuid,                                   -- null: the original of an upload
  fence        bigint,
  s3_upload_id text,
  state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'live', 'doomed')),
  strays_at    timestamptz,                            -- S3 may list uploads of this key that nobody
                                                       -- knows: the janitor looks then
  retry_at     timestamptz NOT NULL DEFAULT now(),     -- the janitor looks again then
  look_again   boolean NOT NULL DEFAULT false,         -- deleted or not: S3 may still finish a late PUT
  all_versions boolean NOT NULL DEFAULT false,         -- deleted with what a versioned bucket keeps of it
  created_at   timestamptz NOT NULL DEFAULT now(),
  CHECK ((job_id IS NULL) = (fence IS NULL))
);
CREATE INDEX objects_strays ON media.objects (strays_at) WHERE strays_at IS NOT NULL;
CREATE INDEX objects_unowned ON media.objects (retry_at) WHERE state <> 'live';
CREATE INDEX objects_media ON media.objects (media_id);
CREATE INDEX objects_job ON media.objects (job_id) WHERE job_id IS NOT NULL;

-- Messages to publish; a row is deleted once the broker confirmed it.
CREATE TABLE media.outbox (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  queue      text NOT NULL CHECK (queue IN ('short', 'long', 'mask', 'mask_long', 'notify', 'dead')),
  job_id     uuid NOT NULL,
  message    text NOT NULL,
  retry_at   timestamptz NOT NULL DEFAULT now(),       -- a janitor has it in hand until then
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_due ON media.outbox (created_at);
CREATE INDEX outbox_job ON media.outbox (job_id);
