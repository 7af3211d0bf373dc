/* PostgreSQL, blocking: one connection, reconnected with back-off, statements of media/stmt.h. */
#ifndef WK_PG_H
#define WK_PG_H

#include "media/err.h"
#include "media/schema.h"
#include "media/stmt.h"
#include "media/str.h"

typedef struct wk_pg_s wk_pg_t;
typedef struct wk_pg_result_s wk_pg_result_t;

/* Not connected yet; the first query connects. gssencmode=disable, keepalives and a statement
 * timeout are set. Owned. [thread] */
wk_pg_t *wk_pg_new(const char *application_name);
void wk_pg_free(wk_pg_t *pg);

/* Runs a statement (nparams C strings, NULL = SQL null; prepared on first use of a connection).
 * 0 and an owned result; MEDIA_E_RETRY: no connection, a schema that does not fit, or lost
 * meanwhile (outcome unknown: every statement workers use is safe to repeat under its fence);
 * MEDIA_E_REJECT: the server refused it (cause in ei). */
int wk_pg_query(wk_pg_t *pg, enum media_stmt stmt, const char *const *params, wk_pg_result_t **out,
                media_err_t *ei);
/* Runs plain SQL text, several statements allowed, on any schema (migrations). */
int wk_pg_exec(wk_pg_t *pg, const char *sql, wk_pg_result_t **out, media_err_t *ei);
int wk_pg_rows(const wk_pg_result_t *r);
int wk_pg_cols(const wk_pg_result_t *r);
const char *wk_pg_col_name(const wk_pg_result_t *r, int col);
/* Borrowed until the result is freed; NULL for SQL null. */
const char *wk_pg_value(const wk_pg_result_t *r, int row, int col);
void wk_pg_result_free(wk_pg_result_t *r);
int wk_pg_ready(const wk_pg_t *pg); /* connected now */
/* Asks for the numbers of the schema, which need not fit. 0, or as wk_pg_query. */
int wk_pg_schema(wk_pg_t *pg, media_schema_t *out, media_err_t *ei);
/* 1 and its numbers when the schema, as this connection last said, does not fit. */
int wk_pg_unfit(const wk_pg_t *pg, media_schema_t *out);

#endif
