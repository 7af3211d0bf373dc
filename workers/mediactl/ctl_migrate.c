/* mediactl migrate: applies the files NNNN_name.sql of a directory, in order, each once.
 * mediactl schema: do this program and the database fit (media/schema.h)?
 *
 * A file and its row in public.media_migrations are one transaction and go to the server as one
 * message, so neither a failure nor a lost connection can part them. A session lock lets concurrent
 * runs wait for each other; should it get lost with its connection, the row's primary key still
 * stops the second. The schema's own number (sql/0016) is part of the same transaction.
 *
 * A database with later files than these was migrated by a newer version. That is well, since an
 * older one is rolled out again in this way, as long as its schema still serves it. */
#include "ctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "media/buf.h"

#define MIGRATIONS_MAX 9999
#define FILE_MAX (4u << 20)

typedef struct {
    int version;
    char name[128];
    char sha256[65];
    char *text; /* owned */
} migration_t;

typedef struct {
    migration_t *list; /* by version */
    size_t n;
} migrations_t;

static void migrations_free(migrations_t *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->list[i].text);
    }
    free(m->list);
}

/* The version in "0001_name.sql", or -1. */
static int name_version(const char *name)
{
    size_t n = strlen(name);

    if (n < 10 || n >= sizeof(((migration_t *)0)->name) || strspn(name, "0123456789") != 4 ||
        name[4] != '_' || strcmp(name + n - 4, ".sql") != 0 ||
        strspn(name + 5, "abcdefghijklmnopqrstuvwxyz0123456789_-") != n - 9) {
        return -1;
    }
    return (name[0] - '0') * 1000 + (name[1] - '0') * 100 + (name[2] - '0') * 10 + (name[3] - '0');
}

static int read_file(ctl_t *ctl, int dir_fd, migration_t *m)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned int sum_len = 0;
    struct stat st;
    size_t size, got = 0;
    int fd = openat(dir_fd, m->name, O_RDONLY | O_CLOEXEC);

    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX) {
        if (fd >= 0) {
            close(fd);
        }
        return ctl_fail(ctl, CTL_FAILED, "internal", "%s cannot be read", m->name);
    }
    size = (size_t)st.st_size;
    m->text = malloc(size + 1);
    while (m->text != NULL && got < size) {
        ssize_t n = read(fd, m->text + got, size - got);
        if (n <= 0) {
            break;
        }
        got += (size_t)n;
    }
    close(fd);
    if (m->text == NULL || got != size || memchr(m->text, '\0', size) != NULL) {
        return ctl_fail(ctl, CTL_FAILED, "internal", "%s cannot be read as text", m->name);
    }
    m->text[size] = '\0';
    if (EVP_Digest(m->text, size, sum, &sum_len, EVP_sha256(), NULL) != 1 ||
        media_hex_encode(sum, sum_len, m->sha256, sizeof(m->sha256)) < 0) {
        return ctl_fail(ctl, CTL_FAILED, "internal", "no SHA-256");
    }
    return CTL_OK;
}

static int by_version(const void *a, const void *b)
{
    return ((const migration_t *)a)->version - ((const migration_t *)b)->version;
}

/* Takes one directory entry into the list. */
static int add_file(ctl_t *ctl, int dir_fd, const char *name, migrations_t *out)
{
    size_t len = strlen(name);
    int version = name_version(name);
    migration_t *grown;

    if (len < 4 || strcmp(name + len - 4, ".sql") != 0) {
        return CTL_OK;
    }
    if (version < 1) {
        /* a misspelt name must not silently stay unapplied */
        return ctl_fail(ctl, CTL_FAILED, "bad_name", "%.100s: expected NNNN_name.sql", name);
    }
    if (out->n == MIGRATIONS_MAX) {
        return ctl_fail(ctl, CTL_FAILED, "internal", "too many files");
    }
    grown = realloc(out->list, (out->n + 1) * sizeof(*grown));
    if (grown == NULL) {
        return ctl_fail(ctl, CTL_FAILED, "internal", "out of memory");
    }
    out->list = grown;
    memset(&grown[out->n], 0, sizeof(*grown));
    grown[out->n].version = version;
    memcpy(grown[out->n].name, name, len + 1);
    return read_file(ctl, dir_fd, &grown[out->n++]);
}

static int load_dir(ctl_t *ctl, const char *path, migrations_t *out)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    int rc = CTL_OK;

    if (dir == NULL) {
        return ctl_fail(ctl, CTL_FAILED, "no_directory", "%s: %s", path, strerror(errno));
    }
    while (rc == CTL_OK && (e = readdir(dir)) != NULL) {
        rc = add_file(ctl, dirfd(dir), e->d_name, out);
    }
    closedir(dir);
    if (rc == CTL_OK && out->n == 0) {
        rc = ctl_fail(ctl, CTL_FAILED, "no_files", "%s holds no NNNN_name.sql", path);
    }
    if (rc != CTL_OK) {
        return rc;
    }
    qsort(out->list, out->n, sizeof(*out->list), by_version);
    for (size_t i = 1; i < out->n; i++) {
        if (out->list[i].version == out->list[i - 1].version) {
            return ctl_fail(ctl, CTL_FAILED, "bad_name", "%s and %s have the same number",
                            out->list[i - 1].name, out->list[i].name);
        }
    }
    return CTL_OK;
}

static int exec(ctl_t *ctl, const char *sql, wk_pg_result_t **out)
{
    media_err_t ei = {""};
    int rc = wk_pg_exec(ctl->pg, sql, out, &ei);

    return rc == 0 ? CTL_OK : ctl_pg_fail(ctl, rc, &ei);
}

/* Locks out other runs and reads what was applied before. */
static int load_applied(ctl_t *ctl, wk_pg_result_t **out)
{
    wk_pg_result_t *res = NULL;
    int rc = exec(ctl, "SET statement_timeout = 0; SELECT pg_advisory_lock(7244633110030)", NULL);

    if (rc == CTL_OK) {
        rc = exec(ctl, "SELECT to_regclass('public.media_migrations')", &res);
    }
    if (rc == CTL_OK && wk_pg_value(res, 0, 0) == NULL) {
        rc = exec(
            ctl,
            "CREATE TABLE public.media_migrations (version int PRIMARY KEY, name text NOT NULL,"
            " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
            NULL);
    }
    wk_pg_result_free(res);
    if (rc == CTL_OK) {
        rc = exec(ctl, "SELECT version, name, sha256 FROM public.media_migrations ORDER BY version",
                  out);
    }
    return rc;
}

/* Compares what was applied with the files. *first is the index of the first file to apply, behind
 * the last one if there are later ones in the database. */
static int compare(ctl_t *ctl, const wk_pg_result_t *applied, const migrations_t *files,
                   size_t *first)
{
    for (int row = 0; row < wk_pg_rows(applied) && (size_t)row < files->n; row++) {
        const char *version = wk_pg_value(applied, row, 0);
        const char *name = wk_pg_value(applied, row, 1);
        const char *sha256 = wk_pg_value(applied, row, 2);
        const migration_t *m = &files->list[row];

        if (m->version > strtol(version, NULL, 10)) {
            return ctl_fail(ctl, CTL_CONFLICT, "missing_file",
                            "%s was applied to this database, but its file is not here", name);
        }
        if (m->version < strtol(version, NULL, 10)) {
            return ctl_fail(ctl, CTL_CONFLICT, "out_of_order",
                            "%s is new, but %s was applied already; give it a higher number",
                            m->name, name);
        }
        if (strcmp(m->sha256, sha256) != 0) {
            return ctl_fail(ctl, CTL_CONFLICT, "changed_file",
                            "%s was changed after it had been applied; add a new file instead",
                            m->name);
        }
    }
    *first = (size_t)wk_pg_rows(applied);
    return CTL_OK;
}

/* Of a database that is newer than the files, which are this program's whether or not it was told
 * where they lie. */
static int newer(ctl_t *ctl, int version, const wk_pg_result_t *applied)
{
    const char *last = wk_pg_value(applied, wk_pg_rows(applied) - 1, 1);
    media_err_t ei = {""};
    media_schema_t s;
    int rc = wk_pg_schema(ctl->pg, &s, &ei);

    if (rc != 0) {
        return ctl_pg_fail(ctl, rc, &ei);
    }
    if (s.version == 0) {
        return ctl_fail(ctl, CTL_CONFLICT, "missing_file",
                        "%s was applied to this database, but its file is not here", last);
    }
    if (s.oldest > version) {
        return ctl_fail(ctl, CTL_CONFLICT, "schema_newer",
                        "the database is at version %d and serves programs from %d on; this one is "
                        "at %d",
                        s.version, s.oldest, version);
    }
    return ctl_print_done(
        ctl, json_pack("{s:[],s:i,s:i}", "applied", "version", s.version, "oldest", s.oldest),
        "the database is at version %d, newer than this program's %d, which it "
        "still serves",
        s.version, version);
}

static int apply(ctl_t *ctl, const migration_t *m)
{
    media_err_t ei = {""};
    media_buf_t sql;
    int rc;

    media_buf_init(&sql, FILE_MAX + 1024);
    (void)media_buf_cstr(&sql, "BEGIN;\n");
    (void)media_buf_cstr(&sql, m->text);
    /* name and sum have no character that needs quoting, see name_version; the schema has no number
     * before its migration that brings it */
    rc = media_buf_fmt(&sql,
                       "\n;INSERT INTO public.media_migrations (version, name, sha256)"
                       " VALUES (%d, '%s', '%s');\n"
                       "DO $$ BEGIN IF to_regclass('media.schema') IS NOT NULL THEN"
                       " UPDATE media.schema SET version = %d; END IF; END $$;\nCOMMIT",
                       m->version, m->name, m->sha256, m->version);
    if (rc != 0) {
        rc = ctl_fail(ctl, CTL_FAILED, "internal", "%s: out of memory", m->name);
    } else {
        rc = wk_pg_exec(ctl->pg, sql.p, NULL, &ei);
        if (rc != 0) {
            (void)wk_pg_exec(ctl->pg, "ROLLBACK", NULL, NULL);
            rc = ctl_fail(ctl, rc == MEDIA_E_RETRY ? CTL_UNAVAILABLE : CTL_FAILED, "refused",
                          "%s: %s", m->name, ei.text);
        } else if (!ctl->json) {
            printf("applied %s\n", m->name);
        }
    }
    media_buf_free(&sql);
    return rc;
}

/* MEDIA_SQL_DIR, the installed directory beside the binary, or the source tree. */
static const char *default_dir(char *dst, size_t cap)
{
    const char *env = getenv("MEDIA_SQL_DIR");
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    char *slash;
    struct stat st;

    if (env != NULL && env[0] != '\0') {
        return env;
    }
    exe[n > 0 ? n : 0] = '\0';
    slash = strrchr(exe, '/');
    if (slash != NULL) {
        (void)snprintf(dst, cap, "%.*s/../share/ngx_media/sql", (int)(slash - exe), exe);
        if (stat(dst, &st) == 0 && S_ISDIR(st.st_mode)) {
            return dst;
        }
    }
    return MEDIA_SQL_SOURCE_DIR;
}

int ctl_migrate(ctl_t *ctl, int argc, char **argv)
{
    char path[PATH_MAX + 32];
    const char *dir = NULL;
    wk_pg_result_t *applied = NULL;
    migrations_t files = {NULL, 0};
    json_t *done = json_array();
    size_t first = 0;
    int rc = CTL_OK;

    for (int i = 0; i < argc; i++) {
        int is_dir = ctl_option(argc, argv, &i, "--dir", &dir);
        if (is_dir <= 0) {
            rc = is_dir < 0 ? CTL_USAGE : ctl_usage("migrate: unknown argument \"%.60s\"", argv[i]);
            goto done;
        }
    }
    rc = load_dir(ctl, dir != NULL ? dir : default_dir(path, sizeof(path)), &files);
    if (rc == CTL_OK) {
        rc = load_applied(ctl, &applied);
    }
    if (rc == CTL_OK) {
        rc = compare(ctl, applied, &files, &first);
    }
    if (rc == CTL_OK && (size_t)wk_pg_rows(applied) > files.n) {
        rc = newer(ctl, files.list[files.n - 1].version, applied);
        goto done;
    }
    for (size_t i = first; rc == CTL_OK && i < files.n; i++) {
        rc = apply(ctl, &files.list[i]);
        if (rc == CTL_OK) {
            json_array_append_new(done, json_string(files.list[i].name));
        }
    }
    if (rc == CTL_OK) {
        int version = files.list[files.n - 1].version;
        rc = ctl_print_done(ctl, json_pack("{s:O,s:i}", "applied", done, "version", version),
                            "the database is at version %d", version);
    }

done:
    json_decref(done);
    wk_pg_result_free(applied);
    migrations_free(&files);
    return rc;
}

int ctl_schema(ctl_t *ctl, int argc, char **argv)
{
    char text[MEDIA_SCHEMA_TEXT];
    media_err_t ei = {""};
    media_schema_t s;
    json_t *doc;
    int fits, rc;

    if (argc != 0) {
        return ctl_usage("schema: unknown argument \"%.60s\"", argv[0]);
    }
    rc = wk_pg_schema(ctl->pg, &s, &ei);
    if (rc != 0) {
        return ctl_pg_fail(ctl, rc, &ei);
    }
    fits = media_schema_fits(s);
    doc = s.version > 0 ? json_pack("{s:i,s:i,s:i,s:b}", "program", MEDIA_SCHEMA, "version",
                                    s.version, "oldest", s.oldest, "fits", fits)
                        : json_pack("{s:i,s:n,s:n,s:b}", "program", MEDIA_SCHEMA, "version",
                                    "oldest", "fits", fits);
    if (fits) {
        return ctl_print_done(ctl, doc,
                              "program %d, schema %d, which serves programs from %d on: they fit",
                              MEDIA_SCHEMA, s.version, s.oldest);
    }
    rc = ctl_print_done(ctl, doc, "%s", media_schema_text(s, text, sizeof(text)));
    return rc == CTL_OK ? CTL_CONFLICT : rc;
}
