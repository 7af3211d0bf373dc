/* media-objects: objects between the stores and their backup, for the scripts of docker/ops. Reads
 * a manifest of any length and holds none of it. Exit codes: ob_run.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <curl/curl.h>

#include "ob_run.h"
#include "wk_log.h"

static const char help[] =
    "usage: media-objects COMMAND\n"
    "\n"
    "Of every line of a manifest on stdin, store TAB key TAB size TAB sha256 (-1 and -: not known "
    "yet):\n"
    "  backup         copies the object, or reads its copy if the line lacks what that can tell; "
    "prints the\n"
    "                 line with what was not known, or with \"missing\" TAB before it\n"
    "  restore        copies it back unless it is there\n"
    "  check          reads its copy\n"
    "Of the backup store:\n"
    "  remove         the keys that are the lines of stdin\n"
    "  list PREFIX    lines of key TAB size, the prefix cut off\n"
    "  put KEY FILE | get KEY FILE\n"
    "  await backup   until it answers, MEDIA_AWAIT_S at most; await live: the other stores\n"
    "\n"
    "Stores are configured as those of the workers (see media-janitor --help): AWS_*, MEDIA_S3_*,\n"
    "MEDIA_BACKUP_*.\n"
    "Exit codes: 0 done, 1 failed, 2 usage, or a line that is none of a manifest.\n";

typedef struct {
    wk_conf_t live, backup;
    ob_t ob;
} program_t;

/* ---- of every line ---- */

static int parse(ob_item_t *item, ob_line_t *line, media_err_t *ei)
{
    if (ob_line_parse(media_str(item->text), line, ei) != 0) {
        return MEDIA_E_BUG;
    }
    (void)wk_fmt(item->name, sizeof(item->name), "%s", line->key);
    return 0;
}

/* All that a line of a complete set has. */
static int parse_known(ob_item_t *item, ob_line_t *line, media_err_t *ei)
{
    int rc = parse(item, line, ei);

    if (rc != 0) {
        return rc;
    }
    return line->size >= 0 && line->sha256[0] != '\0'
               ? 0
               : media_err_set(ei, MEDIA_E_BUG, "size and sha256 have to be known");
}

static int each_backup(ob_t *ob, ob_item_t *item, media_err_t *ei)
{
    ob_line_t line;
    int rc = parse(item, &line, ei);

    if (rc != 0) {
        return rc;
    }
    rc = ob_backup(ob, &line, ei);
    if (rc == MEDIA_E_GONE) {
        (void)wk_fmt(item->out, sizeof(item->out), "missing\t%s\n", item->text);
        rc = 0;
    } else if (rc == 0) {
        (void)ob_line_format(&line, item->out);
    }
    return rc;
}

static int each_restore(ob_t *ob, ob_item_t *item, media_err_t *ei)
{
    ob_line_t line;
    int rc = parse_known(item, &line, ei);

    return rc != 0 ? rc : ob_restore(ob, &line, ei);
}

static int each_check(ob_t *ob, ob_item_t *item, media_err_t *ei)
{
    ob_line_t line;
    int rc = parse_known(item, &line, ei);

    return rc != 0 ? rc : ob_check(ob, &line, ei);
}

static int each_remove(ob_t *ob, ob_item_t *item, media_err_t *ei)
{
    if (item->text[0] == '\0' || strchr(item->text, '\t') != NULL) {
        return media_err_set(ei, MEDIA_E_BUG, "no key");
    }
    (void)wk_fmt(item->name, sizeof(item->name), "%s", item->text);
    return wk_s3_delete(ob->backup, item->text, ei);
}

/* ---- of the backup store ---- */

static int print_object(void *prefix, media_str_t key, int64_t size)
{
    size_t cut = strlen(prefix);

    return printf("%.*s\t%lld\n", (int)(key.len - cut), key.p + cut, (long long)size) < 0
               ? MEDIA_E_REJECT
               : 0;
}

static int run_list(program_t *p, char **args)
{
    media_err_t ei = {"stdout cannot be written"};

    if (wk_s3_list(p->ob.backup, args[0], print_object, args[0], &ei) != 0 || fflush(stdout) != 0) {
        return ob_fail(OB_FAILED, "list %s: %s", args[0], ei.text);
    }
    return OB_OK;
}

static int put_file(program_t *p, const char *key, int fd, media_err_t *ei)
{
    struct stat st;
    char etag[128];

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        return media_err_set(ei, MEDIA_E_REJECT, "no regular file");
    }
    return wk_s3_put_fd(p->ob.backup, key, "", fd, st.st_size, NULL, NULL, etag, sizeof(etag), ei);
}

static int run_file(program_t *p, const char *key, const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    media_err_t ei;
    int rc;

    if (fd < 0) {
        return ob_fail(OB_FAILED, "%s: %s", path, strerror(errno));
    }
    rc = flags == O_RDONLY ? put_file(p, key, fd, &ei) : ob_get_file(&p->ob, key, fd, &ei);
    if (close(fd) != 0 && rc == 0) {
        rc = media_err_set(&ei, MEDIA_E_REJECT, "the file cannot be written");
    }
    return rc == 0 ? OB_OK : ob_fail(OB_FAILED, "%s: %s", key, ei.text);
}

static int run_put(program_t *p, char **args)
{
    return run_file(p, args[0], args[1], O_RDONLY);
}

static int run_get(program_t *p, char **args)
{
    return run_file(p, args[0], args[1], O_WRONLY | O_CREAT | O_TRUNC);
}

static int run_await(program_t *p, char **args)
{
    int64_t end_ms = wk_mono_ms() + 1000ll * p->live.await_s;
    int is_backup = strcmp(args[0], "backup") == 0;
    media_err_t ei;

    if (!is_backup && strcmp(args[0], "live") != 0) {
        return ob_fail(OB_USAGE, "await backup, or await live");
    }
    while (wk_s3_ready(is_backup ? p->ob.backup : p->ob.live, &ei) != 0) {
        if (wk_mono_ms() >= end_ms) {
            return ob_fail(OB_FAILED, "waited %d s for the %s store: %s", p->live.await_s, args[0],
                           ei.text);
        }
        (void)poll(NULL, 0, 500);
    }
    return OB_OK;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(program_t *p, char **args); /* NULL: `each` of every line */
        ob_each_pt each;
    } commands[] = {
        {"backup", 0, NULL, each_backup}, {"restore", 0, NULL, each_restore},
        {"check", 0, NULL, each_check},   {"remove", 0, NULL, each_remove},
        {"list", 1, run_list, NULL},      {"put", 2, run_put, NULL},
        {"get", 2, run_get, NULL},        {"await", 1, run_await, NULL},
    };
    static program_t p;
    int rc = OB_USAGE;

    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        (void)fputs(help, stdout);
        return fflush(stdout) == 0 ? OB_OK : OB_FAILED;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    wk_log_init("media-objects", MEDIA_LOG_ERROR); /* sentences on stderr, see ob_fail() */
    wk_conf_load(&p.live, "media-objects", 0, NULL);
    p.backup = wk_conf_backup(&p.live);
    if (ob_open(&p.ob, NULL, &p.live, &p.backup) != 0) {
        return ob_fail(OB_FAILED, "out of memory, or no usable endpoint");
    }
    for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(commands[i].name, argv[1]) == 0 && argc - 2 == commands[i].args) {
            rc = commands[i].run != NULL ? commands[i].run(&p, argv + 2)
                                         : ob_run(&p.ob, &p.live, commands[i].each);
            ob_close(&p.ob);
            return rc;
        }
    }
    ob_close(&p.ob);
    return ob_fail(rc, "what is wanted? (see media-objects --help)");
}
