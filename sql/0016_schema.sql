-- Which programs this schema serves. A program knows one number, that of its last migration (libmedia/include/media/schema.h), and
-- works here if oldest <= number <= version; if not it takes no work and says so, until it fits (docs/ARCHITECTURE.md).
--
-- version: `mediactl migrate` writes it with each file, in the file's transaction.
-- oldest:  a migration that only adds leaves it alone, so the programs of before go on, and may be rolled back to. One that takes
--          away or changes what they use comes a release later, when none of them runs any more, and says so in its own text:
--            UPDATE media.schema SET oldest = N;
--          with N the lowest number of programs that do without what it takes.
CREATE TABLE media.schema (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  version  int NOT NULL,
  oldest   int NOT NULL
);
-- programs of before know no number and do not ask
INSERT INTO media.schema (version, oldest) VALUES (16, 16);

CREATE FUNCTION media.schema_numbers() RETURNS TABLE (version int, oldest int)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT s.version, s.oldest FROM media.schema s
$$;

GRANT EXECUTE ON FUNCTION media.schema_numbers TO media_gateway, media_worker, media_notifier, media_janitor, media_ctl;
