/* Every SQL text the programs send, once: X(name, nparams, text). Parameters and results are text.
 * All logic lives in functions of sql/ (schema media, SECURITY DEFINER), so a role needs EXECUTE on
 * its own functions and nothing else. The comment over each gives parameters and result columns.
 *
 * "code" columns hold 'ok' or a stable problem code (problem.h); "detail" a sentence for people or
 * null. "outbox" is a JSON array [{"id":"7","queue":"short","message":"{...}"}] of what was written
 * to the outbox by this call: publish each, then OUTBOX_SENT; whoever dies in between leaves it to
 * the janitor. "media" is the resource of the HTTP contract as JSON text. */
#ifndef MEDIA_STMT_H
#define MEDIA_STMT_H

#define MEDIA_STMTS(X)                                                                             \
    /* -> 1 */                                                                                     \
    X(PING, 0, "SELECT 1")                                                                         \
    /* -> version, oldest (schema.h): said before all others on a connection, and now and then */  \
    X(SCHEMA, 0, "SELECT version, oldest FROM media.schema_numbers()")                             \
    /* ---- gateway ---- */                                                                        \
    /* email -> id, password_hash, roles (JSON array), email, version (of the password); no row:   \
     * unknown or disabled */                                                                      \
    X(LOGIN_LOOKUP, 1,                                                                             \
      "SELECT id, password_hash, roles, email, version FROM media.login_lookup($1)")               \
    /* user id, version, sha256 hex of the refresh token|null, ttl seconds -> code (ok,            \
     * credentials_invalid), sid */                                                                \
    X(SESSION_OPEN, 4, "SELECT code, sid FROM media.session_open($1::uuid, $2, $3, $4::int)")      \
    /* sha256 hex of the refresh token, of the new one, ttl seconds -> code (ok, token_invalid,    \
     * token_expired), detail, sid (with token_invalid: of the login that was ended), id, email,   \
     * roles. Idempotent for the same two. */                                                      \
    X(SESSION_REFRESH, 3,                                                                          \
      "SELECT code, detail, sid, id, email, roles FROM media.session_refresh($1, $2, $3::int)")    \
    /* user id, sid -> code */                                                                     \
    X(SESSION_CLOSE, 2, "SELECT code FROM media.session_close($1::uuid, $2::uuid)")                \
    /* mark of the last answer|null, limit -> mark, life_s (how long a revocation matters), kind   \
     * (session, user), subject, ended_ms (unix milliseconds); one row without a subject when      \
     * there is none */                                                                            \
    X(REVOCATIONS, 2,                                                                              \
      "SELECT mark, life_s, kind, subject, ended_ms FROM media.revocations_since($1, $2::int)")    \
    /* user id, media_quota's bytes|null and uploads|null -> JSON {id,email,roles,quota:{used,     \
     * reserved,limit,uploads,uploads_limit}}; no row: gone */                                     \
    X(ME, 3, "SELECT me FROM media.me($1::uuid, $2::bigint, $3::int)")                             \
    /* id, owner, object key, name|null (a form: fields come later), title|null, visibility|null,  \
     * pipeline, params JSON|null, least size, most size|null, sha256 hex|null, request id|null,   \
     * no_replace t|f, idempotency key|null, media_quota's bytes|null and uploads|null             \
     * -> code, detail, members (JSON of the problem|null), reserved bytes, media_id, size, media. \
     *    ok: go on; replayed: answer with media; replay: hash the file, whose size must be that,  \
     *    then UPLOAD_REPLAY */                                                                    \
    X(UPLOAD_OPEN, 16,                                                                             \
      "SELECT code, detail, members, reserved, media_id, size, media FROM media.upload_open("      \
      "$1::uuid, $2::uuid, $3, $4, $5, $6, $7, $8::jsonb, $9::bigint, $10::bigint, $11, $12, "     \
      "$13::boolean, $14, $15::bigint, $16::int)")                                                 \
    /* pipeline, params JSON|null -> code, detail */                                               \
    X(UPLOAD_CHECK, 2, "SELECT code, detail FROM media.upload_check($1, $2::jsonb)")               \
    /* id, bytes received, media_quota's bytes|null -> code (ok, quota_exceeded, upload_lost),     \
     * detail, members, reserved bytes, is_last (t: the quota ends there) */                       \
    X(UPLOAD_RESERVE, 3,                                                                           \
      "SELECT code, detail, members, reserved, is_last FROM media.upload_reserve($1::uuid, "       \
      "$2::bigint, $3::bigint)")                                                                   \
    /* owner, idempotency key, name, title|null, visibility|null, pipeline, params JSON|null,      \
     * size, sha256 hex -> code (ok, idempotency_key_reused, upload_lost), detail, media_id,       \
     * media */                                                                                    \
    X(UPLOAD_REPLAY, 9,                                                                            \
      "SELECT code, detail, media_id, media FROM media.upload_replay($1::uuid, $2, $3, $4, $5, "   \
      "$6, $7::jsonb, $8::bigint, $9)")                                                            \
    /* id, S3 upload id -> code ('ok', or 'gone' when the janitor has given the upload up) */      \
    X(UPLOAD_S3ID, 2, "SELECT code FROM media.upload_s3id($1::uuid, $2)")                          \
    /* id: S3 may have a multipart upload of it whose id nobody knows; the janitor looks for such  \
     * ones even when the file is live -> code ('ok', 'gone') */                                   \
    X(UPLOAD_DOUBT, 1, "SELECT code FROM media.upload_doubt($1::uuid)")                            \
    /* array of ids "{a,b}" -> id of each that is no longer open */                                \
    X(UPLOAD_HEARTBEAT, 1, "SELECT id FROM media.upload_heartbeat($1::uuid[])")                    \
    /* id, name, title|null, content type, size, sha256 hex, etag, pipeline|null, params           \
     * JSON|null, visibility|null, request id|null, traceparent|null -> code, detail, media,       \
     * outbox. Idempotent: a second call for a committed id answers as the first. */               \
    X(UPLOAD_COMMIT, 12,                                                                           \
      "SELECT code, detail, media, outbox FROM media.upload_commit($1::uuid, $2, $3, $4, "         \
      "$5::bigint, $6, $7, $8, $9::jsonb, $10, $11, $12)")                                         \
    /* id, t = nothing of it is left in S3 | f = leave it to the janitor, object key -> code       \
     * ('ok', or 'gone' when the janitor had given the upload up: the key is doomed again,         \
     * for S3 may have got the object since) */                                                    \
    X(UPLOAD_ABORT, 3, "SELECT code FROM media.upload_abort($1::uuid, $2::boolean, $3)")           \
    /* array of outbox ids "{1,2}" */                                                              \
    X(OUTBOX_SENT, 1, "SELECT media.outbox_sent($1::bigint[])")                                    \
    /* owner, limit, cursor|null, state|null, pipeline|null, q|null, sort|null                     \
     * -> code, detail, page (JSON {"items":[...],"next":cursor|null}) */                          \
    X(MEDIA_LIST, 7,                                                                               \
      "SELECT code, detail, page FROM media.media_list($1::uuid, $2::int, $3, $4, $5, $6, $7)")    \
    /* caller|null, id -> media; no row: unknown or not to be seen */                              \
    X(MEDIA_GET, 2, "SELECT media FROM media.media_get($1::uuid, $2::uuid)")                       \
    /* caller|null, id, output name ("original", an output, or "" for the main output)             \
     * -> code (ok, not_found, not_ready, failed, token_missing, insufficient_scope), detail,      \
     *    object_key, size, etag, content_type, name, sha256 (hex), modified (unix seconds),       \
     *    output, public (null: even its own client must ask each time) */                         \
    X(MEDIA_OBJECT, 3,                                                                             \
      "SELECT code, detail, object_key, size, etag, content_type, name, sha256, modified, "        \
      "output, public "                                                                            \
      "FROM media.media_object($1::uuid, $2::uuid, $3)")                                           \
    /* id, epoch and sid|null of the playback token, output -> columns of MEDIA_OBJECT */          \
    X(PLAY_OBJECT, 4,                                                                              \
      "SELECT code, detail, object_key, size, etag, content_type, name, sha256, modified, "        \
      "output, public "                                                                            \
      "FROM media.play_object($1::uuid, $2::int, $3::uuid, $4)")                                   \
    /* owner, id -> epoch, duration (seconds or null); no row: not found */                        \
    X(MEDIA_EPOCH, 2, "SELECT epoch, duration FROM media.media_epoch($1::uuid, $2::uuid)")         \
    /* owner, id, t = set the title, title|null, visibility|null = as it is                        \
     * -> code (ok, not_found, bad_request), detail, media */                                      \
    X(MEDIA_PATCH, 5,                                                                              \
      "SELECT code, detail, media FROM media.media_patch($1::uuid, $2::uuid, $3::boolean, $4, "    \
      "$5)")                                                                                       \
    /* owner, id -> code (ok, not_found) */                                                        \
    X(MEDIA_DELETE, 2, "SELECT code FROM media.media_delete($1::uuid, $2::uuid)")                  \
    /* owner, id -> code (ok, not_found, conflict, original_gone), detail, media, outbox */        \
    X(MEDIA_CANCEL, 2,                                                                             \
      "SELECT code, detail, media, outbox FROM media.media_cancel($1::uuid, $2::uuid)")            \
    X(MEDIA_RETRY, 2,                                                                              \
      "SELECT code, detail, media, outbox FROM media.media_retry($1::uuid, $2::uuid)")             \
    /* owner, id, pipeline, params JSON|null -> code (ok, not_found, conflict, pipeline_unknown,   \
     * params_invalid, anonymized, original_gone), detail, media, outbox */                        \
    X(MEDIA_RUN, 4,                                                                                \
      "SELECT code, detail, media, outbox FROM media.media_run($1::uuid, $2::uuid, $3, "           \
      "$4::jsonb)")                                                                                \
    /* owner, id, {"add":[{"box":[x,y,w,h],"from","to"}],"remove":[region],"keep":[track],         \
     * "mask":[track]} -> code (ok, not_found, bad_request, unknown_field, conflict,               \
     * not_anonymized, original_gone), detail, media, outbox */                                    \
    X(MEDIA_REGIONS, 3,                                                                            \
      "SELECT code, detail, media, outbox FROM media.media_regions($1::uuid, $2::uuid, "           \
      "$3::jsonb)")                                                                                \
    /* ---- workers ---- */                                                                        \
    /* queue, worker name, lease seconds, steps this worker can do "{audio,notify}"                \
     * -> the job, or no row: id, media_id, step, attempt, max_attempts, fence, params (JSON, the  \
     *    pipeline's merged with the upload's), range (JSON|null), object_key|null (the step reads \
     *    none), size, name, content_type|null, owner_id, request_id, traceparent, created (unix   \
     *    seconds) */                                                                              \
    X(JOB_CLAIM, 4,                                                                                \
      "SELECT id, media_id, step, attempt, max_attempts, fence, params, range, object_key, size, " \
      "name, content_type, owner_id, request_id, traceparent, created, prefix "                    \
      "FROM media.job_claim($1, $2, $3::int, $4::text[])")                                         \
    /* id, fence, lease seconds, progress 0..1|null, eta seconds|null -> code: ok, lost, canceled  \
     */                                                                                            \
    X(JOB_HEARTBEAT, 5,                                                                            \
      "SELECT code FROM media.job_heartbeat($1::uuid, $2::bigint, $3::int, $4::float8, "           \
      "$5::float8)")                                                                               \
    /* id, fence, object key: registers a key before it is written to S3 -> code: ok, lost */      \
    X(JOB_OBJECT, 3, "SELECT code FROM media.job_object($1::uuid, $2::bigint, $3)")                \
    /* object key, S3 upload id -> code */                                                         \
    X(JOB_OBJECT_S3ID, 2, "SELECT code FROM media.job_object_s3id($1, $2)")                        \
    /* id, fence, result JSON {"outputs":[{"name","kind","content_type","size","sha256","etag",    \
     * "object_key","width","height","duration","bitrate"}],"probe":{...},                         \
     * "fan_out":[{"step","range"}],"tracks":[{"name","segments","info"}],"segments":[{"track",    \
     * "number","size","sha256","etag","object_key","duration","iframe_offset","iframe_bytes"}],   \
     * "keep":[{"object_key"}],"reuse":[{"track","from","to"}]} -> code: ok, lost, canceled;       \
     * outbox */                                                                                   \
    X(JOB_FINISH, 3, "SELECT code, outbox FROM media.job_finish($1::uuid, $2::bigint, $3::jsonb)") \
    /* id, fence -> code: ok, lost, canceled; the tracks of the job's run that are whole, as the   \
     * document of media/cmafset.h */                                                              \
    X(JOB_SET, 2, "SELECT code, cmafset FROM media.job_set($1::uuid, $2::bigint)")                 \
    /* id, fence -> code; the segments of the ladder that is served, {"tracks":[{"name","kind",    \
     * "width","height","timescale","ticks","segments":[[object key,size],...]}]}, the init        \
     * segments first; null: there is none. In a run that anonymizes: the pieces of its masked     \
     * copy */                                                                                     \
    X(JOB_LADDER, 2, "SELECT code, ladder FROM media.job_ladder($1::uuid, $2::bigint)")            \
    /* id, fence -> code; what the detect jobs of the run have kept, [[object key,size],...] */    \
    X(JOB_DETECTIONS, 2,                                                                           \
      "SELECT code, detections FROM media.job_detections($1::uuid, $2::bigint)")                   \
    /* id, fence, may retry t|f, error code, detail -> code: retried, failed, lost, canceled;      \
     * outbox */                                                                                   \
    X(JOB_FAIL, 5,                                                                                 \
      "SELECT code, outbox FROM media.job_fail($1::uuid, $2::bigint, $3::boolean, $4, $5)")        \
    /* id, fence: given back on drain, the attempt does not count -> code, outbox */               \
    X(JOB_RELEASE, 2, "SELECT code, outbox FROM media.job_release($1::uuid, $2::bigint)")          \
    /* worker name, program, queue, seconds that this holds */                                     \
    X(WORKER_SEEN, 4, "SELECT media.worker_seen($1, $2, $3, $4::int)")                             \
    /* worker name */                                                                              \
    X(WORKER_GONE, 1, "SELECT media.worker_gone($1)")                                              \
    /* ---- notifier: as the JOB statements, of the queue notify alone ---- */                     \
    /* worker name, lease seconds -> columns of JOB_CLAIM */                                       \
    X(NOTIFY_CLAIM, 2,                                                                             \
      "SELECT id, media_id, step, attempt, max_attempts, fence, params, range, object_key, size, " \
      "name, content_type, owner_id, request_id, traceparent, created, prefix "                    \
      "FROM media.notify_claim($1, $2::int)")                                                      \
    X(NOTIFY_HEARTBEAT, 5,                                                                         \
      "SELECT code FROM media.notify_heartbeat($1::uuid, $2::bigint, $3::int, $4::float8, "        \
      "$5::float8)")                                                                               \
    X(NOTIFY_FINISH, 3,                                                                            \
      "SELECT code, outbox FROM media.notify_finish($1::uuid, $2::bigint, $3::jsonb)")             \
    X(NOTIFY_FAIL, 5,                                                                              \
      "SELECT code, outbox FROM media.notify_fail($1::uuid, $2::bigint, $3::boolean, $4, $5)")     \
    X(NOTIFY_RELEASE, 2, "SELECT code, outbox FROM media.notify_release($1::uuid, $2::bigint)")    \
    /* ---- janitor; each is safe to run in several replicas at once ---- */                       \
    /* -> t when this session is the leader */                                                     \
    X(JANITOR_LEAD, 0, "SELECT pg_try_advisory_lock(7244633110031)")                               \
    /* -> n jobs whose lease had run out: queued again, or failed when out of attempts */          \
    X(JANITOR_LEASES, 0, "SELECT media.janitor_leases()")                                          \
    /* -> n due jobs whose announcement seems lost or whose back-off has ended: outbox rows made   \
     */                                                                                            \
    X(JANITOR_ANNOUNCE, 1, "SELECT media.janitor_announce($1::int)")                               \
    /* min age seconds, limit -> id, queue, message of unsent outbox rows */                       \
    X(JANITOR_OUTBOX, 2, "SELECT id, queue, message FROM media.janitor_outbox($1::int, $2::int)")  \
    /* seconds without heart-beat -> n open uploads given up */                                    \
    X(JANITOR_UPLOADS, 1, "SELECT media.janitor_uploads($1::int)")                                 \
    /* limit -> object_key, s3_upload_id|null, all_versions (t: a versioned bucket keeps none) of  \
     * objects nobody owns; hidden for a minute from the next call, so replicas share the work */  \
    X(JANITOR_DOOMED, 1,                                                                           \
      "SELECT object_key, s3_upload_id, all_versions FROM media.janitor_doomed($1::int)")          \
    /* object key: nothing of it is left in S3 */                                                  \
    X(JANITOR_OBJECT_GONE, 1, "SELECT media.janitor_object_gone($1)")                              \
    /* limit -> object_key of live objects beside which S3 may have unfinished uploads; hidden for \
     * a minute from the next call */                                                              \
    X(JANITOR_STRAYS, 1, "SELECT object_key FROM media.janitor_strays($1::int)")                   \
    /* object key: S3 lists no unfinished upload of it any more */                                 \
    X(JANITOR_STRAYS_GONE, 1, "SELECT media.janitor_strays_gone($1)")                              \
    /* -> n expired sessions deleted */                                                            \
    X(JANITOR_SESSIONS, 0, "SELECT media.janitor_sessions()")                                      \
    /* limit -> n originals of anonymized media that were due, given to JANITOR_DOOMED */          \
    X(JANITOR_ORIGINALS, 1, "SELECT media.janitor_originals($1::int)")                             \
    /* -> n workers forgotten that ended without a word */                                         \
    X(JANITOR_WORKERS, 0, "SELECT media.janitor_workers()")                                        \
    /* -> queue, queued (could be claimed now), running, oldest_seconds, of every queue; also what \
     * autoscalers ask, as the role media_scaler */                                                \
    X(QUEUE_LOAD, 0, "SELECT queue, queued, running, oldest_seconds FROM media.queue_load()")      \
    /* ---- mediactl ---- */                                                                       \
    /* email, password hash, roles "{user}" -> code (ok, conflict), id */                          \
    X(CTL_USER_ADD, 3, "SELECT code, id FROM media.ctl_user_add($1, $2, $3::text[])")              \
    /* email, password hash -> code (ok, not_found) */                                             \
    X(CTL_USER_PASSWD, 2, "SELECT code FROM media.ctl_user_passwd($1, $2)")                        \
    /* email, t = disable | f = enable -> code */                                                  \
    X(CTL_USER_DISABLE, 2, "SELECT code FROM media.ctl_user_disable($1, $2::boolean)")             \
    /* email, bytes and uploads: number, "default", or null = as it is -> code, quota (JSON) */    \
    X(CTL_USER_QUOTA, 3, "SELECT code, quota FROM media.ctl_user_quota($1, $2, $3)")               \
    /* -> id, email, roles, disabled, created_at, media, bytes */                                  \
    X(CTL_USER_LIST, 0,                                                                            \
      "SELECT id, email, roles, disabled, created_at, media, bytes FROM media.ctl_user_list()")    \
    /* state|null, limit -> id, media_id, step, queue, state, attempt, max_attempts, worker,       \
     * progress, error_code, error_detail, created_at, finished_at */                              \
    X(CTL_JOB_LIST, 2,                                                                             \
      "SELECT id, media_id, step, queue, state, attempt, max_attempts, worker, progress, "         \
      "error_code, "                                                                               \
      "error_detail, created_at, finished_at FROM media.ctl_job_list($1, $2::int)")                \
    /* job id -> job (JSON); no row: not found */                                                  \
    X(CTL_JOB_SHOW, 1, "SELECT job FROM media.ctl_job_show($1::uuid)")                             \
    /* job id -> code (ok, not_found, conflict), detail, outbox */                                 \
    X(CTL_JOB_RETRY, 1, "SELECT code, detail, outbox FROM media.ctl_job_retry($1::uuid)")          \
    X(CTL_JOB_CANCEL, 1, "SELECT code, detail, outbox FROM media.ctl_job_cancel($1::uuid)")        \
    /* media id -> media (JSON); no row: not found */                                              \
    X(CTL_MEDIA_SHOW, 1, "SELECT media FROM media.ctl_media_show($1::uuid)")                       \
    /* media id -> code (ok, not_found) */                                                         \
    X(CTL_MEDIA_RM, 1, "SELECT code FROM media.ctl_media_rm($1::uuid)")                            \
    /* -> name, steps (list), main_steps (list), anonymizes, description */                        \
    X(CTL_PIPELINE_LIST, 0,                                                                        \
      "SELECT name, steps, main_steps, anonymizes, description FROM media.ctl_pipeline_list()")    \
    /* name -> step, queue, depends_on (list), priority, max_attempts, fan_out, input (media,      \
     * original, none), params (JSON), params_schema (JSON); no row: not found, or without steps   \
     */                                                                                            \
    X(CTL_PIPELINE_SHOW, 1,                                                                        \
      "SELECT step, queue, depends_on, priority, max_attempts, fan_out, input, params, "           \
      "params_schema "                                                                             \
      "FROM media.ctl_pipeline_show($1)")                                                          \
    /* name -> step, param, holds (JSON|null), rule (JSON) */                                      \
    X(CTL_PIPELINE_PARAMS, 1,                                                                      \
      "SELECT step, param, holds, rule FROM media.ctl_pipeline_params($1)")                        \
    /* name, step, params JSON (null takes one away) -> code (ok, not_found, params_invalid),      \
     * detail, params (JSON): those that hold now */                                               \
    X(CTL_PIPELINE_SET, 3,                                                                         \
      "SELECT code, detail, params FROM media.ctl_pipeline_set($1, $2, $3::jsonb)")                \
    /* -> name, program, queue, since, job|null, media_id, step, progress, job_since */            \
    X(CTL_WORKERS, 0,                                                                              \
      "SELECT name, program, queue, since, job, media_id, step, progress, job_since "              \
      "FROM media.ctl_workers()")

enum media_stmt {
#define X(name, nparams, text) MEDIA_STMT_##name,
    MEDIA_STMTS(X)
#undef X
        MEDIA_STMT_COUNT
};

typedef struct {
    const char *name; /* the X name, usable as the name of a prepared statement */
    const char *text;
    int nparams;
} media_stmt_t;

/* The table's row. [any] */
const media_stmt_t *media_stmt_get(enum media_stmt s);

#endif
