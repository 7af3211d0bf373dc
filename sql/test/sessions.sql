-- Logins: how they begin, go on by refresh tokens and end; what gateways are told of the end.
SELECT no_plan();
SELECT sessions(3) \gset _
SELECT person('ann') AS ann, person('bob') AS bob, media.uuid7() AS unknown \gset
CREATE FUNCTION test.digest(p_letter text) RETURNS text LANGUAGE sql AS $$ SELECT repeat(p_letter, 64) $$;
CREATE FUNCTION test.refresh(p_old text, p_new text, p_ttl_s int DEFAULT 60) RETURNS text LANGUAGE sql AS $$
  SELECT concat_ws(' ', code, detail) FROM media.session_refresh(digest(p_old), digest(p_new), p_ttl_s)
$$;
CREATE FUNCTION test.tokens(p_sid uuid) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(left(token_sha256, 1) || coalesce('>' || left(replaced_by, 1), ''), ' ' ORDER BY token_sha256)
    FROM media.sessions WHERE family = p_sid
$$;
CREATE FUNCTION test.revoked(p_subject uuid) RETURNS text LANGUAGE sql AS $$ SELECT kind FROM media.revocations WHERE subject = p_subject $$;

-- the time in an id
SELECT is(media.uuid7_time('017f22e2-79b0-7cc3-98c4-dc0c0c07398f'), '2022-02-22 19:22:22+00', 'uuid7_time: the vector of RFC 9562');
SELECT ok(abs(extract(epoch FROM clock_timestamp() - media.uuid7_time(media.uuid7()))) < 1, 'uuid7_time: of an id made now');
SELECT is(media.uuid7_time(NULL), NULL, 'uuid7_time: of none');

-- begin
SELECT version, password_hash FROM media.login_lookup('ANN@example.test') \gset
SELECT is(:'version', encode(sha256(convert_to(:'password_hash', 'UTF8')), 'hex'), 'lookup: the version is of the password');
SELECT code, sid FROM media.session_open(:'ann', :'version', digest('a'), 60) \gset
SELECT is(:'code'::text, 'ok', 'open');
SELECT is(tokens(:'sid'), 'a', 'open: its refresh token');
SELECT ok((SELECT expires_at BETWEEN now() + interval '59s' AND now() + interval '60s' FROM media.sessions), 'open: lives as long as asked');
SELECT is((SELECT user_id FROM media.sessions), :'ann'::uuid, 'open: is ann''s');
SELECT is((SELECT code FROM media.session_open(:'ann', v, digest('z'), 60)), 'credentials_invalid', 'open: not with version ' || coalesce(v, 'null'))
  FROM unnest(ARRAY['', repeat('0', 64), NULL]) v;
SELECT is((SELECT code FROM media.session_open(:'unknown', :'version', digest('z'), 60)), 'credentials_invalid', 'open: nobody');
SELECT count(*) AS n FROM media.sessions \gset before_
SELECT isnt(login(:'ann'), NULL, 'open: without a refresh token');
SELECT is((SELECT count(*) FROM media.sessions), :before_n::bigint, 'open: leaves no session nobody could use');

-- go on
SELECT * FROM media.session_refresh(digest('a'), digest('b'), 120) \gset r_
SELECT is(concat_ws(' ', :'r_code', :'r_sid', :'r_id', :'r_email', :'r_roles'),
  concat_ws(' ', 'ok', :'sid', :'ann', 'ann@example.test', '["user"]'), 'refresh: the same login, its account as it is now');
SELECT is(tokens(:'sid'), 'a>b b', 'refresh: a new token, the old one is kept to be known again');
SELECT ok((SELECT expires_at > now() + interval '119s' FROM media.sessions WHERE token_sha256 = digest('b')), 'refresh: lives from now on');
SELECT everything() AS before \gset
SELECT is(refresh('a', 'b'), 'ok', 'refresh: said again, as when the answer was lost');
SELECT is(refresh('x', 'y'), 'token_invalid there is no such refresh token', 'refresh: unknown');
SELECT is(everything(), :'before'::text, 'refresh: neither changes anything');
SELECT is(refresh('b', 'c'), 'ok', 'refresh: on');
UPDATE media.users SET roles = '{user,admin}' WHERE id = :'ann';
SELECT is((SELECT roles FROM media.session_refresh(digest('c'), digest('d'), 60)), '["user","admin"]', 'refresh: with a new role');
SELECT is(revoked(:'ann'), NULL, 'refresh: a role more ends nothing');

-- reuse
SELECT login(:'ann', 'e') AS other \gset
SELECT * FROM media.session_refresh(digest('a'), digest('f'), 60) \gset r_
SELECT is(concat_ws(' ', :'r_code', :'r_detail', :'r_sid'),
  concat_ws(' ', 'token_invalid', 'this refresh token was used before: its login has ended', :'sid'), 'reuse: refused, names the login');
SELECT is(tokens(:'sid'), NULL, 'reuse: all tokens of the login are gone');
SELECT is(revoked(:'sid'), 'session', 'reuse: its access tokens, too');
SELECT is(refresh('d', 'g'), 'token_invalid there is no such refresh token', 'reuse: the one that was good is none any more');
SELECT is(tokens(:'other'), 'e', 'reuse: another login of the same user goes on');

-- expired
UPDATE media.sessions SET expires_at = now() WHERE token_sha256 = digest('e');
SELECT is(refresh('e', 'h'), 'token_expired the refresh token has expired', 'expired');
SELECT is(revoked(:'other'), NULL, 'expired: ends nothing');

-- logout
SELECT login(:'ann', 'a') AS sid, login(:'ann', 'b') AS other \gset
SELECT is(refresh('a', 'c'), 'ok', 'logout: of a login that went on');
SELECT is((SELECT code FROM media.session_close(:'ann', :'sid')), 'ok', 'logout');
SELECT is(concat_ws(' ', tokens(:'sid'), revoked(:'sid')), 'session', 'logout: no token is left, access tokens are revoked');
SELECT is(concat_ws(' ', tokens(:'other'), revoked(:'other')), 'b', 'logout: another login goes on');
SELECT ended_at AS first FROM media.revocations WHERE subject = :'sid' \gset
SELECT is((SELECT code FROM media.session_close(:'ann', :'sid')), 'ok', 'logout: twice');
SELECT ok((SELECT ended_at >= :'first'::timestamptz AND count(*) OVER () = 1 FROM media.revocations WHERE subject = :'sid'), 'logout: is one row');
SELECT is((SELECT code FROM media.session_close(:'bob', :'other')), 'ok', 'logout: by somebody else');
SELECT is(tokens(:'other'), 'b', 'logout: takes no session of another');

-- every login of a user
SELECT clock_timestamp() AS before \gset
UPDATE media.users SET password_hash = '$y$new' WHERE id = :'ann';
SELECT is(tokens(:'other'), NULL, 'password: no session is left');
SELECT is((SELECT kind FROM media.revocations WHERE subject = :'ann' AND ended_at BETWEEN :'before' AND clock_timestamp()), 'user',
  'password: all logins until now are revoked');
SELECT ok(media.uuid7_time(login(:'ann', 'd')) >= (SELECT date_trunc('milliseconds', ended_at) FROM media.revocations WHERE subject = :'ann'),
  'password: a login after it has a later time');
DELETE FROM media.revocations;
SELECT lives_ok(format('UPDATE media.users SET %s WHERE id = %L', s, :'ann'), s) FROM unnest(ARRAY['password_hash = password_hash',
  'quota_bytes = 5', 'roles = ''{admin,user,editor}''', 'email = ''ann2@example.test''', 'disabled_at = NULL']) s;
SELECT is_empty('SELECT * FROM media.revocations', 'none of these ends a login');
SELECT isnt_empty(format('SELECT * FROM media.sessions WHERE user_id = %L', :'ann'), 'nor a session');
CREATE FUNCTION test.ends(p_change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  v_id uuid := test.person('temp');
  v_sid uuid := test.login(v_id, '9');
  v_text text;
BEGIN
  EXECUTE format(p_change, v_id);
  v_text := concat_ws(' ', test.tokens(v_sid), test.revoked(v_id));
  DELETE FROM media.users WHERE id = v_id;
  RETURN v_text;
END $$;
SELECT is(ends(c), 'user', 'ends all logins: ' || c) FROM unnest(ARRAY['UPDATE media.users SET disabled_at = now() WHERE id = %L',
  'UPDATE media.users SET roles = ''{viewer}'' WHERE id = %L', 'UPDATE media.users SET roles = ''{}'' WHERE id = %L',
  'UPDATE media.users SET password_hash = ''$y$2'' WHERE id = %L', 'DELETE FROM media.users WHERE id = %L']) c;
SELECT login(:'bob', 'f') \gset _
UPDATE media.users SET disabled_at = now() WHERE id = :'bob';
SELECT is(refresh('f', '0'), 'token_invalid there is no such refresh token', 'disabled: no refresh');
SELECT is(login(:'bob', 'f'), NULL, 'disabled: no login');

-- what gateways are told
CREATE FUNCTION test.told(p_mark text, p_limit int DEFAULT 100) RETURNS text LANGUAGE sql AS $$
  SELECT string_agg(kind || ' ' || subject, ', ' ORDER BY ended_ms, subject) FROM media.revocations_since(p_mark, p_limit)
$$;
-- The mark is the oldest transaction of the whole cluster: once none is older than what was told, it is told once.
CREATE PROCEDURE test.calm() LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. 2000 LOOP
    EXIT WHEN pg_snapshot_xmin(pg_current_snapshot()) > ALL (SELECT xid FROM media.revocations);
    PERFORM pg_sleep(0.01);
    COMMIT;
  END LOOP;
END $$;
TRUNCATE media.revocations;
SELECT results_eq('SELECT life_s, kind, subject FROM media.revocations_since(NULL, 100)',
  'VALUES (90000::bigint, NULL::text, NULL::uuid)', 'told: of none, and how long one matters');
SELECT mark AS t_mark FROM media.revocations_since(NULL, 100) \gset
SELECT media.session_close(:'ann', :'sid') \gset _
SELECT is(told(NULL), 'session ' || :'sid', 'told: of all');
SELECT is(told(:'t_mark'), 'session ' || :'sid', 'told: of what came since');
CALL calm();
SELECT mark FROM media.revocations_since(NULL, 100) LIMIT 1 \gset
SELECT is(told(:'mark'), NULL, 'told: once');
SELECT is((SELECT ended_ms FROM media.revocations_since(NULL, 1)),
  (SELECT floor(extract(epoch FROM ended_at) * 1000)::bigint FROM media.revocations), 'told: when, in milliseconds');
UPDATE media.users SET password_hash = '$y$3' WHERE id = :'ann';
SELECT is(told(:'mark'), 'user ' || :'ann', 'told: of a user');
SELECT is(told(NULL, 1), 'user ' || :'ann', 'told: the newest, where there is no room for all');
SELECT is(told('9223372036854775807'), told(NULL), 'told: all, with a mark of another cluster');
UPDATE media.revocations SET ended_at = now() - interval '25 hours 1s' WHERE subject = :'sid';
SELECT is(told(NULL), 'user ' || :'ann', 'told: not of what no token outlives');
ALTER DATABASE sessions SET media.token_life = '3 days';
SELECT session('longer') \gset _
SELECT is(ask('longer', 'SELECT count(*)::text FROM media.revocations_since(NULL, 100) WHERE life_s = 259200'), '2', 'told: longer where tokens live longer');
-- a transaction that was under way when others were told
SELECT media.uuid7() AS slow, media.uuid7() AS fast \gset
SELECT tell('s1', 'BEGIN') \gset _
SELECT ask('s1', format($$SELECT code FROM media.session_close(%L, %L)$$, :'ann', :'slow')) \gset _
SELECT ask('s2', format($$SELECT code FROM media.session_close(%L, %L)$$, :'bob', :'fast')) \gset _
SELECT mark FROM media.revocations_since(NULL, 100) LIMIT 1 \gset
SELECT matches(told(NULL), :'fast', 'told: of the later one that is done');
SELECT doesnt_match(told(NULL), :'slow', 'told: not of the earlier one that is not');
SELECT tell('s1', 'COMMIT') \gset _
SELECT matches(told(:'mark'), :'slow', 'told: of it once it is');

-- order under the lock: a password that changes while a login opens
SELECT person('eve') AS eve \gset
SELECT version FROM media.login_lookup('eve@example.test') \gset
SELECT tell('s1', format($$BEGIN; UPDATE media.users SET password_hash = '$y$new' WHERE id = %L$$, :'eve')) \gset _
SELECT start('s2', format($$SELECT code || coalesce(sid::text, '') FROM media.session_open(%L, %L, repeat('7', 64), 60)$$, :'eve', :'version')) \gset _
SELECT ok(is_blocked('s2'), 'a login waits for the change of its password');
SELECT tell('s1', 'COMMIT') \gset _
SELECT is(answer('s2'), 'credentials_invalid', 'and is refused');
-- two who exchange the same token at the same moment
SELECT login(:'eve', '1') AS sid \gset
SELECT is(race(3, $$SELECT code FROM media.session_refresh(repeat('1', 64), repeat('%s', 63) || 'a', 60)$$), ARRAY['ok', 'token_invalid', 'token_invalid'],
  'a token is exchanged once, whoever comes together');
SELECT is(concat_ws(' ', tokens(:'sid'), revoked(:'sid')), 'session', 'and its login has ended');
-- logout and refresh, passwords and refresh: nobody waits for each other in a ring
CREATE PROCEDURE test.churn(p_session int) LANGUAGE plpgsql AS $$
DECLARE
  v_user uuid := (SELECT id FROM media.users WHERE email = 'eve@example.test');
BEGIN
  PERFORM test.gate();
  FOR i IN 1 .. 50 LOOP
    IF p_session = 1 THEN
      UPDATE media.users SET password_hash = '$y$' || i WHERE id = v_user;
    ELSIF p_session = 2 THEN
      PERFORM media.session_close(v_user, family) FROM media.sessions WHERE user_id = v_user LIMIT 1;
    ELSE
      PERFORM test.login(v_user, '2');
      PERFORM media.session_refresh(repeat('2', 64), repeat('3', 64), 60);
      PERFORM media.session_refresh(repeat('2', 64), repeat('4', 64), 60);
    END IF;
    COMMIT;
  END LOOP;
END $$;
SELECT is(race(3, 'CALL test.churn(%s)'), array_fill('CALL'::text, ARRAY[3]), 'three that end and renew the same logins');

-- the janitor forgets
INSERT INTO media.revocations (subject, kind, ended_at) VALUES (:'unknown', 'session', now() - interval '8 days 1s'),
  (:'sid', 'session', now() - interval '7 days 23 hours') ON CONFLICT (subject) DO UPDATE SET ended_at = excluded.ended_at;
SELECT media.janitor_sessions() \gset _
SELECT is(concat_ws(' ', revoked(:'unknown'), revoked(:'sid')), 'session', 'janitor: revocations go when no playback token outlives them');
SELECT * FROM finish();
