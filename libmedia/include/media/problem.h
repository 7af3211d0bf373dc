/* Every error of the HTTP API: stable code, status and title, once (RFC 9457 problem+json). */
#ifndef MEDIA_PROBLEM_H
#define MEDIA_PROBLEM_H

#include "media/buf.h"

#define MEDIA_PROBLEMS(X)                                                                          \
    X(BAD_REQUEST, 400, "bad_request", "Bad request")                                              \
    X(UNKNOWN_FIELD, 400, "unknown_field", "Unknown field")                                        \
    X(FID_MISSING, 400, "fid_missing", "Query parameter fid is missing")                           \
    X(DIGEST_MISMATCH, 400, "digest_mismatch", "The body does not match its digest")               \
    X(FORM_INVALID, 400, "form_invalid", "The form cannot be read")                                \
    X(SECOND_FILE, 400, "second_file", "One upload carries one file")                              \
    X(SEVERAL_TOKENS, 400, "several_tokens", "More than one token")                                \
    X(TOKEN_MISSING, 401, "token_missing", "Authentication required")                              \
    X(TOKEN_INVALID, 401, "token_invalid", "The token is not valid")                               \
    X(TOKEN_EXPIRED, 401, "token_expired", "The token has expired")                                \
    X(CREDENTIALS_INVALID, 401, "credentials_invalid", "Wrong e-mail or password")                 \
    X(INSUFFICIENT_SCOPE, 403, "insufficient_scope", "The token does not allow this")              \
    X(NOT_FOUND, 404, "not_found", "Not found")                                                    \
    X(METHOD_NOT_ALLOWED, 405, "method_not_allowed", "Method not allowed")                         \
    X(CLIENT_TIMEOUT, 408, "request_timeout", "The body came too slowly")                          \
    X(NOT_READY, 409, "not_ready", "Still processing")                                             \
    X(FAILED, 409, "failed", "Processing failed")                                                  \
    X(CONFLICT, 409, "conflict", "Conflict")                                                       \
    X(ANONYMIZED, 409, "anonymized", "There is no masked copy to start from")                      \
    X(NOT_ANONYMIZED, 409, "not_anonymized", "This was never anonymized")                          \
    X(ORIGINAL_GONE, 409, "original_gone", "The original has been deleted")                        \
    X(IN_PROGRESS, 409, "upload_in_progress", "The first upload with this key is still running")   \
    X(LENGTH_REQUIRED, 411, "length_required", "Length required")                                  \
    X(PRECONDITION_FAILED, 412, "precondition_failed", "Precondition failed")                      \
    X(TOO_LARGE, 413, "too_large", "The file is too large")                                        \
    X(QUOTA_EXCEEDED, 413, "quota_exceeded", "The quota is used up")                               \
    X(TYPE_NOT_ALLOWED, 415, "type_not_allowed", "This type of file is not accepted")              \
    X(TYPE_MISMATCH, 415, "type_mismatch", "The file is not what its type says")                   \
    X(RANGE_NOT_SATISFIABLE, 416, "range_not_satisfiable", "Range not satisfiable")                \
    X(PARAMS_INVALID, 422, "params_invalid", "A parameter is not valid")                           \
    X(PIPELINE_UNKNOWN, 422, "pipeline_unknown", "No such pipeline")                               \
    X(KEY_REUSED, 422, "idempotency_key_reused", "This Idempotency-Key belongs to another upload") \
    X(RATE_LIMITED, 429, "rate_limited", "Too many requests")                                      \
    X(INTERNAL, 500, "internal", "Internal error")                                                 \
    X(STORAGE_UNAVAILABLE, 503, "storage_unavailable", "The object store is not available")        \
    X(DATABASE_UNAVAILABLE, 503, "database_unavailable", "The database is not available")          \
    X(KEYS_UNAVAILABLE, 503, "keys_unavailable", "The keys to check the token are not available")  \
    X(OVERLOADED, 503, "overloaded", "No memory for another upload")                               \
    X(UPLOAD_LOST, 503, "upload_lost", "The upload was given up, send it again")                   \
    X(STORAGE_FULL, 507, "storage_full", "The object store is full")

enum media_problem {
#define X(name, status, code, title) MEDIA_PROBLEM_##name,
    MEDIA_PROBLEMS(X)
#undef X
        MEDIA_PROBLEM_COUNT
};

typedef struct {
    int status;
    const char *code;
    const char *title;
} media_problem_t;

/* The table's row. [any] */
const media_problem_t *media_problem_get(enum media_problem p);
/* MEDIA_PROBLEM_* of a stable code, or MEDIA_E_REJECT. [any] */
int media_problem_parse(media_str_t code);
/* Appends the problem+json document:
 * {"type":"about:blank"...,"title","status","detail","instance","code", "request_id"}; empty detail
 * is left out. `extra` is NULL or raw members starting with ',' . [any] */
int media_problem_write(media_buf_t *out, int status, media_str_t code, media_str_t title,
                        media_str_t detail, media_str_t instance, media_str_t request_id,
                        const char *extra);

#endif
