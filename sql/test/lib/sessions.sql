-- Other sessions, by dblink: opened, told to run something, awaited. Nothing here sleeps: a session that
-- should wait is known by pg_blocking_pids(), those that should start together by a common lock.

CREATE FUNCTION test.session(p_name text, p_role text DEFAULT 'postgres') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM tap.dblink_connect(p_name, format('host=%s port=%s dbname=%s user=%s',
    current_setting('unix_socket_directories'), current_setting('port'), current_database(), p_role));
END $$;

-- One statement with one text column, at once.
CREATE FUNCTION test.ask(p_name text, p_sql text) RETURNS text LANGUAGE sql AS $$
  SELECT r FROM tap.dblink(p_name, p_sql) AS t (r text)
$$;

CREATE FUNCTION test.tell(p_name text, p_sql text) RETURNS void LANGUAGE sql AS $$
  SELECT tap.dblink_exec(p_name, p_sql)
$$;

-- The same without waiting; test.answer() fetches the first row.
CREATE FUNCTION test.start(p_name text, p_sql text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF tap.dblink_send_query(p_name, p_sql) <> 1 THEN
    RAISE 'session %: %', p_name, tap.dblink_error_message(p_name);
  END IF;
END $$;

-- Every statement given to start() returns a row, so no rows mean there is no further result.
CREATE FUNCTION test.answer(p_name text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_next text;
  v_text text;
BEGIN
  LOOP
    SELECT r INTO v_next FROM tap.dblink_get_result(p_name) AS t (r text);
    EXIT WHEN NOT FOUND;
    v_text := v_next;
  END LOOP;
  RETURN v_text;
END $$;

CREATE TABLE test.pids (name text PRIMARY KEY, pid int NOT NULL);
GRANT SELECT ON test.pids TO PUBLIC;

CREATE FUNCTION test.sessions(p_count int, p_role text DEFAULT 'postgres') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. p_count LOOP
    PERFORM test.session('s' || i, p_role);
    INSERT INTO test.pids VALUES ('s' || i, test.ask('s' || i, 'SELECT pg_backend_pid()::text')::int);
  END LOOP;
END $$;

-- Returns once the session waits for a lock of another.
CREATE FUNCTION test.is_blocked(p_name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  v_pid int := (SELECT pid FROM test.pids WHERE name = p_name);
  v_end timestamptz := clock_timestamp() + interval '10s';
BEGIN
  LOOP
    IF cardinality(pg_blocking_pids(v_pid)) > 0 THEN
      RETURN true;
    END IF;
    IF tap.dblink_is_busy(p_name) = 0 OR clock_timestamp() > v_end THEN
      RETURN false;
    END IF;
  END LOOP;
END $$;

CREATE FUNCTION test.gate() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_lock_shared(1);
  PERFORM pg_advisory_unlock_shared(1);
END $$;

-- Runs one statement in sessions s1..sN, all let go at the same moment; the answers, sorted. %s in the
-- statement is the number of the session. A procedure passes the gate itself: only alone may it commit.
CREATE FUNCTION test.race(p_count int, p_sql text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
  v_gate text := CASE WHEN p_sql LIKE 'CALL %' THEN '' ELSE 'SELECT test.gate()::text; ' END;
  v_answers text[] := '{}';
BEGIN
  PERFORM pg_advisory_lock(1);
  FOR i IN 1 .. p_count LOOP
    PERFORM test.start('s' || i, v_gate || replace(p_sql, '%s', i::text));
  END LOOP;
  FOR i IN 1 .. p_count LOOP
    IF NOT test.is_blocked('s' || i) THEN
      RAISE 'session s% is not at the gate', i;
    END IF;
  END LOOP;
  PERFORM pg_advisory_unlock(1);
  FOR i IN 1 .. p_count LOOP
    v_answers := v_answers || test.answer('s' || i);
  END LOOP;
  RETURN (SELECT array_agg(a ORDER BY a) FROM unnest(v_answers) a);
END $$;
