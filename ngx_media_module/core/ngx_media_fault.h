
/*
 * Faults on demand, for tests. Only builds with MEDIA_FAULTS (CMake) have them;
 * elsewhere a point is the constant 0 and costs nothing.
 *
 * A point has a name of two or three words: "upload.open", "http.PUT.sent",
 * "pg.UPLOAD_COMMIT.answered" (names of S3 operations and statements as in
 * media/s3req.h and media/stmt.h). What is to happen there says the file of the
 * directive media_fault_file, which is read and removed when an upload begins:
 *
 *   POINT kill [N]     at the Nth time (1) the process kills itself
 *   POINT error [N]    at the Nth time the point fails, as it may fail anyway
 *   alloc fail N [M]   of all allocations that the module makes from then on
 *                      the Nth and the following M - 1 (0) fail
 *
 * Allocations are caught by the linker (--wrap), so no source says anything
 * about them; the publisher's thread is left alone. Each fault is one line in
 * the error log. [loop]
 */

#ifndef _NGX_MEDIA_FAULT_H_INCLUDED_
#define _NGX_MEDIA_FAULT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#if (NGX_MEDIA_FAULTS)

/* An upload begins: a new plan, if there is one. */
void ngx_media_fault_arm(ngx_str_t *file, ngx_log_t *log);
/* Its id, for the log: whoever made the plan wants to know what is left. */
void ngx_media_fault_upload(ngx_str_t *id);
/* 1: this point has to fail. when may be NULL. */
ngx_uint_t ngx_media_fault(const char *room, const char *what,
    const char *when);

#else

#define ngx_media_fault(room, what, when)  0

#endif


#endif
