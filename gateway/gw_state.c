/* One way for every change: read all, compare, test, swap, SIGHUP.
 *
 * Contents are compared, not times or names, so it does not matter what told us to look, nor how
 * often. */
#define _GNU_SOURCE
#include "gw_state.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gw_cpu.h"
#include "gw_files.h"
#include "gw_nginx.h"
#include "gw_watch.h"
#include "wk_log.h"

#define FILE_MAX (1 << 20)
#define PASSWORD_MAX 1024
#define S3_GRACE_MS (5 * 60 * 1000)

static int ipv6_there(void)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), there;

    if (fd < 0) {
        return 0;
    }
    there = bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;
    (void)close(fd);
    return there;
}

int gw_state_init(gw_state_t *gw, media_err_t *ei)
{
    char path[PATH_MAX];
    int rc;

    memset(gw, 0, sizeof(*gw));
    media_buf_init(&gw->template, FILE_MAX);
    media_buf_init(&gw->text, GW_TEXT_MAX);
    gw_conf_load(&gw->conf);
    gw->keys.settle_ms = (int64_t)gw->conf.jwt_settle_s * 1000;
    gw->machine.cpus = gw_cpu_count("", gw_cpu_available());
    gw->machine.has_ipv6 = ipv6_there();
    gw->watch_fd = gw_watch_open();
    rc = gw_names_init(&gw->names, &gw->conf, S3_GRACE_MS, ei);
    if (rc == 0) {
        (void)snprintf(path, sizeof(path), "%s/nginx.conf.in", gw->conf.conf_dir);
        rc = gw_file_read(path, &gw->template, ei);
    }
    if (rc == 0) {
        rc = gw_nginx_version(&gw->conf, &gw->machine.nginx_version, ei);
    }
    if (rc != 0) {
        gw_state_free(gw);
    }
    return rc;
}

void gw_state_free(gw_state_t *gw)
{
    media_buf_free(&gw->template);
    media_buf_free(&gw->text);
    if (gw->watch_fd >= 0) {
        (void)close(gw->watch_fd);
    }
}

int gw_state_render(gw_state_t *gw, int routes, media_buf_t *out, media_err_t *ei)
{
    media_buf_t keys;
    int rc;

    media_buf_init(&keys, GW_TEXT_MAX);
    rc = gw_keys_read(&gw->keys, gw->conf.jwt_dir, wk_mono_ms(), ei);
    if (rc == 0) {
        (void)gw_keys_lines(&gw->keys, gw->conf.jwt_dir, wk_mono_ms(), &keys);
        rc = gw_render(media_buf_view(&gw->template), &gw->conf, &gw->machine, &gw->names,
                       media_buf_view(&keys), routes, out, ei);
    }
    media_buf_free(&keys);
    return rc;
}

/* ---- the password ---- */

/* libpq's password file: any host, any role. It is read for each connection, so nginx need not be
 * told. */
static int pgpass_write(const gw_conf_t *conf, media_err_t *ei)
{
    char path[PATH_MAX];
    media_buf_t secret, line;
    media_str_t s;
    int rc;

    if (conf->pg_password_file == NULL) {
        return 0;
    }
    media_buf_init(&secret, PASSWORD_MAX);
    media_buf_init(&line, 3 * PASSWORD_MAX);
    rc = gw_file_read(conf->pg_password_file, &secret, ei);
    s = media_buf_view(&secret);
    while (s.len > 0 && (s.p[s.len - 1] == '\n' || s.p[s.len - 1] == '\r')) {
        s.len--;
    }
    if (rc == 0 && (s.len == 0 || memchr(s.p, '\n', s.len) != NULL)) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "%s: expected one line, the password",
                           conf->pg_password_file);
    }
    if (rc == 0) {
        (void)media_buf_cstr(&line, "*:*:*:*:");
        for (size_t i = 0; i < s.len; i++) {
            if (s.p[i] == ':' || s.p[i] == '\\') {
                (void)media_buf_cstr(&line, "\\");
            }
            (void)media_buf_add(&line, s.p + i, 1);
        }
        (void)media_buf_cstr(&line, "\n");
        (void)snprintf(path, sizeof(path), "%s/pgpass", conf->run_dir);
        rc = gw_file_write(path, media_buf_view(&line), ei);
    }
    media_buf_free(&secret);
    media_buf_free(&line);
    return rc;
}

/* ---- has anything changed? ---- */

/* A file that is not there counts, too: it may come. */
static void digest_file(EVP_MD_CTX *md, const char *path)
{
    media_buf_t text;
    media_str_t view;
    int64_t size;

    if (path == NULL) {
        return;
    }
    media_buf_init(&text, FILE_MAX);
    size = gw_file_read(path, &text, NULL) == 0 ? (int64_t)text.len : -1;
    view = media_buf_view(&text);
    (void)EVP_DigestUpdate(md, path, strlen(path) + 1);
    (void)EVP_DigestUpdate(md, &size, sizeof(size));
    (void)EVP_DigestUpdate(md, view.p, view.len);
    media_buf_free(&text);
}

static void digest_dir(EVP_MD_CTX *md, const char *dir)
{
    char path[PATH_MAX];
    struct dirent **list;
    int n = scandir(dir, &list, NULL, alphasort);

    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.') {
            (void)snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
            digest_file(md, path);
        }
        free(list[i]);
    }
    if (n >= 0) {
        free(list);
    }
}

static int dir_has_files(const char *dir)
{
    struct dirent *entry;
    int found = 0;
    DIR *d = opendir(dir);

    while (d != NULL && !found && (entry = readdir(d)) != NULL) {
        found = entry->d_name[0] != '.';
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return found;
}

/* Of the configuration and of every file that nginx reads with it, and only then. S3's credentials
 * are not among these: the module looks at their file itself. */
static int digest_all(const gw_conf_t *conf, media_str_t text, uint8_t dst[GW_DIGEST])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned int len = 0;
    int ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

    if (ok) {
        (void)EVP_DigestUpdate(md, text.p, text.len);
        digest_file(md, conf->tls_cert);
        digest_file(md, conf->tls_key);
        digest_file(md, conf->play_key);
        digest_file(md, conf->amqp_url_file);
        digest_file(md, conf->s3_ca);
        digest_dir(md, conf->jwt_dir);
        digest_dir(md, conf->routes_dir);
        ok = EVP_DigestFinal_ex(md, dst, &len) == 1 && len == GW_DIGEST;
    }
    EVP_MD_CTX_free(md);
    return ok ? 0 : MEDIA_E_NOMEM;
}

static void watch_all(const gw_state_t *gw)
{
    const gw_conf_t *c = &gw->conf;
    const char *const paths[] = {c->tls_cert, c->tls_key, c->play_key,   c->amqp_url_file,
                                 c->s3_ca,    c->jwt_dir, c->routes_dir, c->pg_password_file};

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        gw_watch_add(gw->watch_fd, paths[i]);
    }
}

/* ---- the change ---- */

/* Tests `text`; what passes is nginx's. */
static int text_swap(gw_state_t *gw, media_str_t text, media_err_t *ei)
{
    char path[PATH_MAX], fresh[PATH_MAX];
    media_buf_t listen;
    int rc;

    (void)snprintf(path, sizeof(path), "%s/" GW_LISTEN_CONF, gw->conf.run_dir);
    media_buf_init(&listen, GW_TEXT_MAX);
    (void)gw_render_listen(&gw->conf, &gw->machine, &listen);
    rc = gw_file_write(path, media_buf_view(&listen), ei);
    media_buf_free(&listen);
    (void)snprintf(fresh, sizeof(fresh), "%s/" GW_NGINX_CONF ".new", gw->conf.run_dir);
    (void)snprintf(path, sizeof(path), "%s/" GW_NGINX_CONF, gw->conf.run_dir);
    if (rc == 0) {
        rc = gw_file_write(fresh, text, ei);
    }
    if (rc == 0) {
        rc = gw_nginx_test(&gw->conf, fresh, text, ei);
    }
    if (rc == 0 && rename(fresh, path) != 0) {
        rc = media_err_set(ei, MEDIA_E_REJECT, "%s: %s", path, strerror(errno));
    }
    if (rc != 0) {
        return rc;
    }
    if (gw->nginx > 0) {
        (void)kill(gw->nginx, SIGHUP);
    } else {
        gw->nginx = gw_nginx_start(&gw->conf, path, text);
        if (gw->nginx < 0) {
            gw->nginx = 0;
            return media_err_set(ei, MEDIA_E_RETRY, "fork: %s", strerror(errno));
        }
    }
    media_buf_reset(&gw->text);
    return media_buf_str(&gw->text, text);
}

static void refuse(gw_state_t *gw, const media_err_t *ei)
{
    char attempts[12];

    gw->refused++;
    wk_log(MEDIA_LOG_ERROR,
           gw->nginx > 0 ? "new configuration refused, nginx keeps the old one"
                         : "configuration refused",
           "error", ei->text, "attempts", wk_fmt(attempts, sizeof(attempts), "%d", gw->refused),
           NULL);
}

static void accepted(gw_state_t *gw, const uint8_t digest[GW_DIGEST], int started)
{
    char workers[12];

    memcpy(gw->digest, digest, GW_DIGEST);
    gw->refused = 0;
    wk_log(MEDIA_LOG_INFO, started ? "nginx started" : "nginx reloads", "workers",
           wk_fmt(workers, sizeof(workers), "%d", gw->machine.cpus), NULL);
}

/* Other services' routes may be what is wrong, a name in them that is gone for instance. Before an
 * nginx runs there is no old configuration to keep, and ours shall not wait for theirs: it starts
 * without them, and each look tries them again. */
static int start_alone(gw_state_t *gw)
{
    media_buf_t text;
    media_err_t ei;
    int rc;

    media_buf_init(&text, GW_TEXT_MAX);
    rc = gw_state_render(gw, 0, &text, &ei);
    if (rc == 0) {
        rc = text_swap(gw, media_buf_view(&text), &ei);
    }
    if (rc == 0) {
        memset(gw->digest, 0, GW_DIGEST);
        wk_log(MEDIA_LOG_ERROR, "nginx started without the routes of other services", "routes",
               gw->conf.routes_dir, NULL);
    }
    media_buf_free(&text);
    return rc;
}

int gw_state_apply(gw_state_t *gw, int force)
{
    uint8_t digest[GW_DIGEST];
    int started = gw->nginx == 0, rc;
    media_buf_t text;
    media_err_t ei;

    media_buf_init(&text, GW_TEXT_MAX);
    watch_all(gw);
    rc = pgpass_write(&gw->conf, &ei);
    if (rc == 0) {
        rc = gw_state_render(gw, 1, &text, &ei);
    }
    if (rc == 0 && digest_all(&gw->conf, media_buf_view(&text), digest) != 0) {
        rc = media_err_set(&ei, MEDIA_E_NOMEM, "out of memory");
    }
    if (rc == 0 && (started || force || memcmp(digest, gw->digest, GW_DIGEST) != 0)) {
        rc = text_swap(gw, media_buf_view(&text), &ei);
        if (rc == 0) {
            accepted(gw, digest, started);
        }
    } else if (rc == 0) {
        gw->refused = 0;
    }
    if (rc != 0) {
        refuse(gw, &ei);
    }
    if (rc != 0 && started && dir_has_files(gw->conf.routes_dir)) {
        rc = start_alone(gw);
    }
    media_buf_free(&text);
    return rc;
}
