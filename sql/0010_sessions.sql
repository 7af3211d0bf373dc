-- Logins (role media_gateway): how one begins, goes on by refresh tokens, and ends before its tokens do.
-- Signatures and meaning of the columns: libmedia/include/media/stmt.h.
--
-- A login's id is a UUIDv7 made here under the lock on its user's row, and what ends all logins of a user
-- is dated under the same lock: so the id's time says whether a login began before or after, with no
-- other clock involved. Lock order: the user's row, then sessions.

-- What the longest-lived access token lives, and a little more for clocks that differ: so long gateways
-- remember what was revoked. nginx refuses a media_token_ttl above 24h; for another issuer's tokens that
-- live longer: ALTER DATABASE ... SET media.token_life.
CREATE FUNCTION media.token_life() RETURNS interval
LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
  SELECT coalesce(nullif(current_setting('media.token_life', true), ''), '25h')::interval
$$;

CREATE FUNCTION media.user_lock(p_user uuid) RETURNS media.users
LANGUAGE sql SET search_path = media, pg_temp AS $$
  SELECT * FROM users WHERE id = p_user FOR NO KEY UPDATE
$$;

-- Another text for another password, nothing about the password.
CREATE FUNCTION media.user_version(p_user media.users) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = media, pg_temp AS $$
  SELECT encode(sha256(convert_to(p_user.password_hash, 'UTF8')), 'hex')
$$;

CREATE FUNCTION media.revocation_put(p_subject uuid, p_kind text) RETURNS void
LANGUAGE sql SET search_path = media, pg_temp AS $$
  INSERT INTO revocations (subject, kind) VALUES (p_subject, p_kind)
  ON CONFLICT (subject) DO UPDATE SET ended_at = excluded.ended_at, xid = excluded.xid
$$;

-- A new password, disabling, a role taken away, deletion, whoever does it: every login ends.
CREATE FUNCTION media.user_ended() RETURNS trigger
LANGUAGE plpgsql SET search_path = media, pg_temp AS $$
BEGIN
  DELETE FROM sessions WHERE user_id = OLD.id;
  PERFORM revocation_put(OLD.id, 'user');
  RETURN NULL;
END $$;
CREATE TRIGGER user_ended AFTER UPDATE OF password_hash, disabled_at, roles ON media.users FOR EACH ROW
  WHEN (NEW.password_hash <> OLD.password_hash OR (NEW.disabled_at IS NOT NULL AND OLD.disabled_at IS NULL)
        OR NOT NEW.roles @> OLD.roles)
  EXECUTE FUNCTION media.user_ended();
CREATE TRIGGER user_deleted AFTER DELETE ON media.users FOR EACH ROW EXECUTE FUNCTION media.user_ended();

CREATE FUNCTION media.login_lookup(p_email text)
RETURNS TABLE (id uuid, password_hash text, roles text, email text, version text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
  SELECT u.id, u.password_hash, to_json(u.roles)::text, u.email, user_version(u) FROM users u
   WHERE lower(u.email) = lower(p_email) AND u.disabled_at IS NULL
$$;

-- Opens a login whose password was right, unless the account has changed meanwhile. Without a refresh
-- token it has no session and ends with its access token.
CREATE FUNCTION media.session_open(p_user uuid, p_version text, p_token_sha256 text, p_ttl_s int)
RETURNS TABLE (code text, sid uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
DECLARE
  v_user users := user_lock(p_user);
  v_sid uuid := uuid7();
BEGIN
  IF v_user.id IS NULL OR v_user.disabled_at IS NOT NULL OR user_version(v_user) IS DISTINCT FROM p_version THEN
    RETURN QUERY SELECT 'credentials_invalid', NULL::uuid;
    RETURN;
  END IF;
  IF p_token_sha256 IS NOT NULL THEN
    INSERT INTO sessions (token_sha256, user_id, family, expires_at)
    VALUES (p_token_sha256, p_user, v_sid, now() + make_interval(secs => p_ttl_s));
  END IF;
  RETURN QUERY SELECT 'ok', v_sid;
END $$;

-- Exchanges a refresh token. One that was exchanged before is in two hands: its login ends; sid is
-- filled then, too. The same exchange said again answers as the first time.
CREATE FUNCTION media.session_refresh(p_token_sha256 text, p_new_sha256 text, p_ttl_s int)
RETURNS TABLE (code text, detail text, sid uuid, id uuid, email text, roles text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_user users := user_lock((SELECT s.user_id FROM sessions s WHERE s.token_sha256 = p_token_sha256));
  v_session sessions;
BEGIN
  SELECT * INTO v_session FROM sessions WHERE token_sha256 = p_token_sha256;
  IF NOT FOUND OR v_user.disabled_at IS NOT NULL THEN
    RETURN QUERY SELECT 'token_invalid', 'there is no such refresh token', NULL::uuid, NULL::uuid, NULL, NULL;
    RETURN;
  END IF;
  IF v_session.replaced_by <> p_new_sha256 THEN
    DELETE FROM sessions WHERE family = v_session.family;
    PERFORM revocation_put(v_session.family, 'session');
    RETURN QUERY SELECT 'token_invalid', 'this refresh token was used before: its login has ended', v_session.family,
      NULL::uuid, NULL, NULL;
    RETURN;
  END IF;
  IF v_session.expires_at <= now() THEN
    RETURN QUERY SELECT 'token_expired', 'the refresh token has expired', NULL::uuid, NULL::uuid, NULL, NULL;
    RETURN;
  END IF;
  IF v_session.replaced_by IS NULL THEN
    UPDATE sessions SET replaced_by = p_new_sha256 WHERE token_sha256 = p_token_sha256;
    INSERT INTO sessions (token_sha256, user_id, family, expires_at)
    VALUES (p_new_sha256, v_user.id, v_session.family, now() + make_interval(secs => p_ttl_s));
  END IF;
  RETURN QUERY SELECT 'ok', NULL, v_session.family, v_user.id, v_user.email, to_json(v_user.roles)::text;
END $$;

CREATE FUNCTION media.session_close(p_user uuid, p_sid uuid) RETURNS TABLE (code text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = media, pg_temp AS $$
BEGIN
  PERFORM user_lock(p_user);
  DELETE FROM sessions WHERE family = p_sid AND user_id = p_user;
  PERFORM revocation_put(p_sid, 'session');
  RETURN QUERY SELECT 'ok';
END $$;

-- What was revoked since the mark of an earlier answer (null: ever), the newest p_limit of it. At least
-- one row, for the new mark. Transactions are seen in the order they commit, not in that of their ids:
-- so the mark is the oldest one that was running, and a revocation may be told twice.
CREATE FUNCTION media.revocations_since(p_mark text, p_limit int)
RETURNS TABLE (mark text, life_s bigint, kind text, subject uuid, ended_ms bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = media, pg_temp AS $$
#variable_conflict use_column
DECLARE
  v_oldest xid8 := pg_snapshot_xmin(pg_current_snapshot());
  v_since xid8 := coalesce(p_mark, '0');
BEGIN
  IF v_since > v_oldest THEN
    v_since := '0';      -- of another cluster: this one was restored from a backup
  END IF;
  RETURN QUERY
  SELECT v_oldest::text, extract(epoch FROM token_life())::bigint, r.kind, r.subject,
         floor(extract(epoch FROM r.ended_at) * 1000)::bigint
    FROM (SELECT 1) one LEFT JOIN (
      SELECT * FROM revocations x WHERE x.xid >= v_since AND x.ended_at > now() - token_life()
       ORDER BY x.ended_at DESC LIMIT p_limit) r ON true;
END $$;

GRANT EXECUTE ON FUNCTION
  media.login_lookup, media.session_open, media.session_refresh, media.session_close, media.revocations_since
TO media_gateway;
