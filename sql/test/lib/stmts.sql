-- Reads stmt.h: the statements, by the program they are for. Included by the tests that need it.
\set stmt_h `cat "$STMT_H"`
CREATE TABLE test.stmts AS
  WITH sections AS (
    SELECT n, (regexp_match(x, '^\w+'))[1] AS section, x AS body
      FROM regexp_split_to_table(:'stmt_h', '/\* ---- ') WITH ORDINALITY s (x, n))
  SELECT CASE WHEN n > 1 THEN section ELSE 'all' END AS section, m[1] AS name, m[2]::int AS nparams,
         regexp_replace(trim(both E' "\\\n' FROM m[3]), '"[\s\\]*"', '', 'g') AS text
    FROM sections, regexp_matches(body, 'X\((\w+), (\d+),[\s\\]*((?:"[^"]*"[\s\\]*)+)\)', 'g') m;
ALTER TABLE test.stmts ADD function text;
UPDATE test.stmts SET function = (regexp_match(text, 'media\.(\w+)\('))[1];

CREATE TABLE test.roles (role text, section text);
INSERT INTO test.roles VALUES ('media_gateway', 'gateway'), ('media_worker', 'workers'), ('media_notifier', 'notifier'),
  ('media_janitor', 'janitor'), ('media_ctl', 'mediactl'), ('media_scaler', NULL);
-- every program publishes, so every one marks what it has sent; the notifier is a worker; what scales is no program of ours
CREATE VIEW test.uses AS
  SELECT r.role, s.name, s.nparams, s.text, s.function
    FROM test.roles r JOIN test.stmts s ON CASE r.role WHEN 'media_scaler' THEN s.name = 'QUEUE_LOAD'
           ELSE s.section IN (r.section, 'all') OR s.name = 'OUTBOX_SENT' OR (r.role = 'media_notifier' AND s.name LIKE 'WORKER%') END;

-- The SQLSTATE that a statement ends with in a session, 00000 when it succeeds; nothing of it stays.
CREATE FUNCTION test.outcome(p_session text, p_sql text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  PERFORM test.tell(p_session, 'BEGIN');
  BEGIN
    PERFORM test.tell(p_session, p_sql);
    PERFORM test.tell(p_session, 'ROLLBACK');
    RETURN '00000';
  EXCEPTION WHEN OTHERS THEN
    PERFORM test.tell(p_session, 'ROLLBACK');
    RETURN sqlstate;
  END;
END $$;
SELECT session(role, role) FROM roles \g /dev/null
