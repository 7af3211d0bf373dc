/* Configuration of a worker. Every entry is one row of the table below: environment variable, flag,
 * type, place in wk_conf_t, default, limits, help. Strings are borrowed from environ and argv,
 * which live as long as the program. */
#include "wk_conf.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "media/envcheck.h"
#include "media/log.h"
#include "wk_probe.h"

enum conf_type { CONF_STR, CONF_INT, CONF_SWITCH };

/* Returns NULL when the value is fine, else what it should have been. */
typedef const char *(*conf_check_pt)(const char *value);

typedef struct {
    const char *env;  /* NULL: flag only */
    const char *flag; /* NULL: a secret, environment only */
    enum conf_type type;
    size_t offset;
    const char *fallback; /* NULL: stays unset */
    int lo, hi;
    conf_check_pt check;
    const char *help;
} conf_entry_t;

static int has_prefix(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

static const char *check_http_url(const char *v)
{
    int ok =
        (has_prefix(v, "http://") && v[7] != '\0') || (has_prefix(v, "https://") && v[8] != '\0');
    return ok ? NULL : "http://host:port or https://host:port";
}

static const char *check_smtp_url(const char *v)
{
    static const char *const schemes[] = {"smtp://", "smtps://", "smtp+starttls://"};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        if (has_prefix(v, schemes[i]) && v[strlen(schemes[i])] != '\0') {
            return NULL;
        }
    }
    return "smtp://host:port, smtp+starttls://host:port or smtps://user:pass@host:port";
}

static const char *check_level(const char *v)
{
    return media_log_level_parse(media_str(v)) < 0 ? "debug, info, warn or error" : NULL;
}

static const char *check_prefix(const char *v)
{
    return media_objkey_prefix_valid(media_str(v)) ? NULL : "folders, each ending in \"/\"";
}

static const char *check_addr(const char *v)
{
    const char *colon = strrchr(v, ':');
    int64_t port;

    if (colon == NULL || colon == v || media_str_to_i64(media_str(colon + 1), &port) != 0 ||
        port > 65535) {
        return "host:port";
    }
    return NULL;
}

static const char *check_queue(const char *v)
{
    return strcmp(v, "short") == 0 || strcmp(v, "long") == 0 ? NULL : "short or long";
}

static const char *check_path(const char *v)
{
    return v[0] == '/' ? NULL : "an absolute path";
}

static const char *check_line(const char *v)
{
    if (strlen(v) > 200) {
        return "at most 200 bytes";
    }
    for (; *v != '\0'; v++) {
        if ((unsigned char)*v < 0x20 || *v == 0x7f) {
            return "a text without control characters";
        }
    }
    return NULL;
}

static const char *check_mail(const char *v)
{
    const char *at = strrchr(v, '@');

    if (check_line(v) != NULL || at == NULL || at == v || at[1] == '\0' ||
        strpbrk(v, " <>\"(),;:\\") != NULL) {
        return "one plain address, user@host";
    }
    return NULL;
}

#define STR_ENTRY(env, flag, field, fallback, check, help)                                         \
    {                                                                                              \
        env, flag, CONF_STR, offsetof(wk_conf_t, field), fallback, 0, 0, check, help               \
    }
#define INT_ENTRY(env, flag, field, fallback, lo, hi, help)                                        \
    {                                                                                              \
        env, flag, CONF_INT, offsetof(wk_conf_t, field), fallback, lo, hi, NULL, help              \
    }

#define S3_IN s3[MEDIA_STORE_INPUT]
#define S3_OUT s3[MEDIA_STORE_OUTPUT]

/* clang-format off */
static const conf_entry_t conf_table[] = {
    /* the more specific variable follows, so it wins */
    STR_ENTRY("AWS_ENDPOINT_URL", NULL, S3_IN.endpoint, NULL, check_http_url, "S3 endpoint"),
    STR_ENTRY("AWS_ENDPOINT_URL_S3", "s3-endpoint", S3_IN.endpoint, NULL, check_http_url,
              "S3 endpoint (over AWS_ENDPOINT_URL)"),
    STR_ENTRY("AWS_ACCESS_KEY_ID", NULL, S3_IN.access_key, NULL, check_line, "S3 access key"),
    STR_ENTRY("AWS_SECRET_ACCESS_KEY", NULL, S3_IN.secret_key, NULL, check_line, "S3 secret key"),
    STR_ENTRY("AWS_SESSION_TOKEN", NULL, S3_IN.session_token, NULL, NULL, "S3 session token"),
    STR_ENTRY("AWS_REGION", "s3-region", S3_IN.region, "us-east-1", check_line, "S3 region"),
    STR_ENTRY("MEDIA_S3_BUCKET", "s3-bucket", S3_IN.bucket, "media", check_line, "S3 bucket"),
    STR_ENTRY("MEDIA_S3_CREDENTIALS", "s3-credentials", S3_IN.credentials, NULL,
              media_envcheck_s3_source,
              "env, file, web_identity, ecs or imds; default: what the environment has"),
    STR_ENTRY("MEDIA_S3_ADDRESSING", "s3-addressing", S3_IN.addressing, "path",
              media_envcheck_s3_addressing,
              "path or virtual (the bucket in the host name)"),
    STR_ENTRY("MEDIA_S3_CHECKSUM", "s3-checksum", S3_IN.checksum, "sha256", media_envcheck_s3_sum,
              "what S3 checks and keeps: sha256, crc64nvme or none"),
    STR_ENTRY("MEDIA_S3_SSE", "s3-sse", S3_IN.sse, NULL, media_envcheck_s3_sse,
              "encryption at rest: AES256 or aws:kms"),
    STR_ENTRY("MEDIA_S3_SSE_KEY", "s3-sse-key", S3_IN.sse_key, NULL, check_line,
              "with aws:kms: the id of its key"),
    INT_ENTRY("MEDIA_S3_SSE_BUCKET_KEY", "s3-sse-bucket-key", S3_IN.sse_bucket_key, "0", 0, 1,
              "with aws:kms: 1 for a key per bucket"),
    /* what jobs make may lie elsewhere; what is not said here is as above */
    STR_ENTRY("MEDIA_S3_OUTPUT_ENDPOINT", "s3-output-endpoint", S3_OUT.endpoint, NULL,
              check_http_url, "S3 endpoint of outputs"),
    STR_ENTRY("MEDIA_S3_OUTPUT_ACCESS_KEY_ID", NULL, S3_OUT.access_key, NULL, check_line,
              "S3 access key of outputs"),
    STR_ENTRY("MEDIA_S3_OUTPUT_SECRET_ACCESS_KEY", NULL, S3_OUT.secret_key, NULL, check_line,
              "S3 secret key of outputs"),
    STR_ENTRY("MEDIA_S3_OUTPUT_SESSION_TOKEN", NULL, S3_OUT.session_token, NULL, NULL,
              "S3 session token of outputs"),
    STR_ENTRY("MEDIA_S3_OUTPUT_REGION", "s3-output-region", S3_OUT.region, NULL, check_line,
              "S3 region of outputs"),
    STR_ENTRY("MEDIA_S3_OUTPUT_BUCKET", "s3-output-bucket", S3_OUT.bucket, NULL, check_line,
              "S3 bucket of outputs"),
    STR_ENTRY("MEDIA_S3_OUTPUT_PREFIX", "s3-output-prefix", S3_OUT.prefix, NULL, check_prefix,
              "in front of the keys of outputs, \"derived/\""),
    STR_ENTRY("MEDIA_S3_OUTPUT_CREDENTIALS", "s3-output-credentials", S3_OUT.credentials, NULL,
              media_envcheck_s3_source, "env, file, web_identity, ecs or imds"),
    STR_ENTRY("MEDIA_S3_OUTPUT_ADDRESSING", "s3-output-addressing", S3_OUT.addressing, NULL,
              media_envcheck_s3_addressing, "path or virtual"),
    STR_ENTRY("MEDIA_S3_OUTPUT_CHECKSUM", "s3-output-checksum", S3_OUT.checksum, NULL,
              media_envcheck_s3_sum, "sha256, crc64nvme or none"),
    STR_ENTRY("MEDIA_S3_OUTPUT_SSE", "s3-output-sse", S3_OUT.sse, NULL, media_envcheck_s3_sse,
              "AES256 or aws:kms"),
    STR_ENTRY("MEDIA_S3_OUTPUT_SSE_KEY", "s3-output-sse-key", S3_OUT.sse_key, NULL, check_line,
              "with aws:kms: the id of its key"),
    INT_ENTRY("MEDIA_S3_OUTPUT_SSE_BUCKET_KEY", "s3-output-sse-bucket-key",
              S3_OUT.sse_bucket_key, "0", 0, 1, "with aws:kms: 1 for a key per bucket"),
    /* where backups lie */
    STR_ENTRY("MEDIA_BACKUP_ENDPOINT_URL", "backup-endpoint", s3_backup.endpoint, NULL,
              check_http_url, "S3 endpoint of backups; default: that of the input store"),
    STR_ENTRY("MEDIA_BACKUP_REGION", "backup-region", s3_backup.region, NULL, check_line,
              "S3 region of backups; default: that of the input store"),
    STR_ENTRY("MEDIA_BACKUP_BUCKET", "backup-bucket", s3_backup.bucket, "media-backup", check_line,
              "S3 bucket of backups"),
    STR_ENTRY("MEDIA_BACKUP_CREDENTIALS_FILE", "backup-credentials-file",
              s3_backup.credentials_file, NULL, check_path,
              "with a profile \"backup\"; default: AWS_SHARED_CREDENTIALS_FILE"),
    INT_ENTRY("MEDIA_BACKUP_PARALLEL", "backup-parallel", backup_parallel, "4", 1, 64,
              "objects that are copied at once"),
    INT_ENTRY("MEDIA_BACKUP_PIECE", "backup-piece", backup_piece, "16777216", 5242880, 1073741824,
              "bytes of an object that are in memory at once"),
    INT_ENTRY("MEDIA_AWAIT_S", "await-s", await_s, "300", 1, 86400,
              "how long a server of a backup or a restore may be away"),
    STR_ENTRY("AWS_CA_BUNDLE", "s3-ca", s3_ca, NULL, check_path,
              "PEM file of the CAs that S3 and STS are trusted by"),
    STR_ENTRY("AMQP_URL", NULL, amqp_url.value, NULL, media_envcheck_amqp_url, "RabbitMQ"),
    STR_ENTRY("AMQP_URL_FILE", "amqp-url-file", amqp_url.file, NULL, check_path,
              "instead: a file with it, read at each connection"),
    STR_ENTRY("MEDIA_LOG_LEVEL", "log-level", log_level, "info", check_level,
              "debug, info, warn or error"),
    STR_ENTRY("MEDIA_HEALTH_ADDR", "health-addr", health_addr, "127.0.0.1:0", check_addr,
              "host:port of /healthz, /readyz, /metrics; port 0: any free one"),
    STR_ENTRY("MEDIA_HEALTH_FILE", "health-file", health_file, NULL, check_path,
              "where the chosen host:port is written"),
    INT_ENTRY("MEDIA_STALL_S", "stall-s", stall_s, "180", 1, 86400,
              "/healthz is 503 once a loop has not turned for so long"),
    STR_ENTRY("MEDIA_TMPDIR", "tmpdir", tmpdir, "/var/tmp", check_path,
              "private files of a job, unlinked at creation"),
    STR_ENTRY("MEDIA_WORKER_NAME", "worker-name", worker_name, NULL, check_line,
              "in rows and logs; default hostname:pid"),
    INT_ENTRY("MEDIA_LEASE_S", "lease-s", lease_s, "30", 3, 3600, "lease of a running job"),
    INT_ENTRY("MEDIA_POLL_S", "poll-s", poll_s, "10", 1, 3600,
              "an idle worker asks the database at least this often"),
    INT_ENTRY("MEDIA_DRAIN_S", "drain-s", drain_s, "25", 0, 86400,
              "how long SIGTERM lets a running job finish"),
    INT_ENTRY("MEDIA_CHILD_UID", "child-uid", child_uid, "65534", 1, INT_MAX,
              "uid of decoder children when the worker is root"),
    INT_ENTRY("MEDIA_JOBS", "jobs", jobs, "1", 1, 64,
              "jobs at once, each with a thread and connections of its own"),
    INT_ENTRY("MEDIA_CHILD_MEMORY_MIB", "child-memory-mib", child_memory_mib, "3072", 256, 1048576,
              "most memory of a decoder child; steps that do not encode video take 1024 of it"),
    INT_ENTRY("MEDIA_LIMIT_DURATION_S", "limit-duration-s", limit_duration_s, "86400", 1, 86400,
              "transcoder: longest file"),
    INT_ENTRY("MEDIA_LIMIT_PIXELS", "limit-pixels", limit_pixels, "35651584", 1, 268435456,
              "transcoder: largest picture of a video, width x height"),
    INT_ENTRY("MEDIA_LIMIT_FRAMES", "limit-frames", limit_frames, "4194304", 1, 4194304,
              "transcoder: most pictures of a video"),
    INT_ENTRY("MEDIA_LIMIT_STREAMS", "limit-streams", limit_streams, "100", 1, 100,
              "transcoder: most tracks of a file"),
    STR_ENTRY("MEDIA_LIMIT_CODECS", "limit-codecs", limit_codecs, NULL, check_line,
              "transcoder: codings of video and sound that are taken, h264,aac; default: all"),
    STR_ENTRY("MEDIA_QUEUE", "queue", queue, "short", check_queue,
              "transcoder, anonymizer: whose jobs it takes, short or long"),
    STR_ENTRY("MEDIA_MODELS", "models", models, NULL, check_path,
              "anonymizer: directory of its detectors' models"),
    STR_ENTRY("MEDIA_MASK_IMAGE", "mask-image", mask_image, NULL, check_path,
              "anonymizer: PNG that the mask \"image\" shows"),
    STR_ENTRY("MEDIA_SMTP_URL", NULL, smtp_url.value, NULL, check_smtp_url, "mail server"),
    STR_ENTRY("MEDIA_SMTP_URL_FILE", "smtp-url-file", smtp_url.file, NULL, check_path,
              "instead: a file with it, read for each mail"),
    STR_ENTRY("MEDIA_MAIL_FROM", "mail-from", mail_from, "media@localhost", check_mail, "sender"),
    STR_ENTRY("MEDIA_PUBLIC_URL", "public-url", public_url, "http://127.0.0.1:8080",
              check_http_url, "base of links in mails"),
    STR_ENTRY("MEDIA_PLAY_KEY_FILE", "play-key-file", play_key_file, NULL, check_path,
              "HS256 secret of playback tokens"),
    INT_ENTRY("MEDIA_LINK_TTL_S", "link-ttl-s", link_ttl_s, "604800", 60, 315360000,
              "life of a mail's link"),
    INT_ENTRY("MEDIA_SWEEP_S", "sweep-s", sweep_s, "5", 1, 86400, "pause between sweeps"),
    INT_ENTRY("MEDIA_UPLOAD_STALE_S", "upload-stale-s", upload_stale_s, "60", 1, 86400,
              "an upload without heart-beat this long is dead"),
    INT_ENTRY("MEDIA_OUTBOX_AGE_S", "outbox-age-s", outbox_age_s, "5", 0, 86400,
              "unsent this long is published by the janitor"),
    {NULL, "once", CONF_SWITCH, offsetof(wk_conf_t, once), NULL, 0, 0, NULL,
     "janitor: one sweep, then exit"},
    {NULL, "probe", CONF_SWITCH, offsetof(wk_conf_t, probe), NULL, 0, 0, NULL,
     "asks /healthz of the worker with this configuration: exit code 0 if it is well, else 1"},
};
/* clang-format on */

#define CONF_COUNT (sizeof(conf_table) / sizeof(conf_table[0]))

static void *entry_place(wk_conf_t *conf, const conf_entry_t *e)
{
    return (char *)conf + e->offset;
}

/* `from` is the variable or flag as the user wrote it. The value itself is shown only where it can
 * be no secret, that is where a flag exists. */
static void bad_value(const char *prog, const conf_entry_t *e, const char *from, const char *value,
                      const char *want)
{
    if (e->flag != NULL) {
        fprintf(stderr, "%s: %s: \"%.100s\" is not valid, expected %s\n", prog, from, value, want);
    } else {
        fprintf(stderr, "%s: %s: the value is not valid, expected %s\n", prog, from, want);
    }
    exit(2);
}

static void entry_set(wk_conf_t *conf, const conf_entry_t *e, const char *prog, const char *from,
                      const char *value)
{
    char want[80];
    const char *cause;
    int64_t n;

    switch (e->type) {
    case CONF_STR:
        cause = e->check != NULL ? e->check(value) : NULL;
        if (cause != NULL) {
            bad_value(prog, e, from, value, cause);
        }
        memcpy(entry_place(conf, e), &value, sizeof(value));
        break;
    case CONF_INT:
        if (media_str_to_i64(media_str(value), &n) != 0 || n < e->lo || n > e->hi) {
            (void)snprintf(want, sizeof(want), "a whole number from %d to %d", e->lo, e->hi);
            bad_value(prog, e, from, value, want);
        } else {
            int i = (int)n;
            memcpy(entry_place(conf, e), &i, sizeof(i));
        }
        break;
    case CONF_SWITCH: {
        int on = 1;
        memcpy(entry_place(conf, e), &on, sizeof(on));
        break;
    }
    }
}

static void usage(const char *prog)
{
    char left[64];

    printf("usage: %s [--flag value]...\n\n", prog);
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const conf_entry_t *e = &conf_table[i];
        (void)snprintf(left, sizeof(left), "%s%s%s%s", e->flag != NULL ? "--" : "",
                       e->flag != NULL ? e->flag : "",
                       e->flag != NULL && e->env != NULL ? ", " : "", e->env != NULL ? e->env : "");
        printf("  %-40s %s", left, e->help);
        if (e->fallback != NULL) {
            printf(" [%s]", e->fallback);
        }
        printf("\n");
    }
    printf("  %-40s %s\n", "PGHOST, PGPORT, PGDATABASE, PGUSER ...", "PostgreSQL, libpq's own");
    printf("\nA flag wins over its variable. Entries without a flag are read from the environment\n"
           "only, because other users see the arguments of a process.\n");
}

static const conf_entry_t *flag_find(const char *name, size_t len)
{
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const char *flag = conf_table[i].flag;
        if (flag != NULL && strlen(flag) == len && memcmp(flag, name, len) == 0) {
            return &conf_table[i];
        }
    }
    return NULL;
}

static void load_flags(wk_conf_t *conf, const char *prog, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        const char *eq = strchr(arg, '=');
        size_t len = eq != NULL ? (size_t)(eq - arg) : strlen(arg);
        const conf_entry_t *e;
        const char *value = NULL;
        char from[64];

        if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
            usage(prog);
            exit(0);
        }
        e = len > 2 && has_prefix(arg, "--") ? flag_find(arg + 2, len - 2) : NULL;
        if (e == NULL) {
            /* without the value: somebody may have tried to pass a secret */
            fprintf(stderr, "%s: unknown flag \"%.*s\" (see --help)\n", prog,
                    (int)(len > 60 ? 60 : len), arg);
            exit(2);
        }
        (void)snprintf(from, sizeof(from), "--%s", e->flag);
        if (e->type == CONF_SWITCH) {
            if (eq != NULL) {
                fprintf(stderr, "%s: %s takes no value\n", prog, from);
                exit(2);
            }
        } else if (eq != NULL) {
            value = eq + 1;
        } else if (i + 1 < argc) {
            value = argv[++i];
        } else {
            fprintf(stderr, "%s: %s needs a value\n", prog, from);
            exit(2);
        }
        entry_set(conf, e, prog, from, value);
    }
}

/* As the usual images do: which of the two is meant is not for us to guess. */
static void refuse_both(const char *prog, const wk_secret_t *s)
{
    if (s->value != NULL && s->file != NULL) {
        fprintf(stderr, "%s: %s and %s_FILE are both set, one of them is wanted\n", prog, s->name,
                s->name);
        exit(2);
    }
}

static const char *default_name(void)
{
    static char name[160]; /* as long-lived as environ and argv */
    char host[128];

    if (gethostname(host, sizeof(host)) != 0) {
        host[0] = '\0';
    }
    host[sizeof(host) - 1] = '\0';
    (void)snprintf(name, sizeof(name), "%s:%ld", host[0] != '\0' ? host : "localhost",
                   (long)getpid());
    return name;
}

void wk_conf_load(wk_conf_t *conf, const char *prog, int argc, char **argv)
{
    memset(conf, 0, sizeof(*conf));
    conf->amqp_url = (wk_secret_t){.name = "AMQP_URL", .check = media_envcheck_amqp_url};
    conf->smtp_url = (wk_secret_t){.name = "MEDIA_SMTP_URL", .check = check_smtp_url};
    conf->worker_name = default_name();
    for (size_t i = 0; i < CONF_COUNT; i++) {
        const conf_entry_t *e = &conf_table[i];
        const char *value = e->env != NULL ? getenv(e->env) : NULL;

        if (e->fallback != NULL) {
            entry_set(conf, e, prog, e->flag, e->fallback);
        }
        /* an empty variable is an unset one, as the usual env files write it */
        if (value != NULL && value[0] != '\0') {
            entry_set(conf, e, prog, e->env, value);
        }
    }
    load_flags(conf, prog, argc, argv);
    refuse_both(prog, &conf->amqp_url);
    refuse_both(prog, &conf->smtp_url);
    if (conf->probe) {
        exit(wk_probe(conf, prog));
    }
}

enum media_queue wk_conf_queue(const wk_conf_t *conf, enum media_queue of_seconds,
                               enum media_queue of_minutes)
{
    return strcmp(conf->queue, "long") == 0 ? of_minutes : of_seconds;
}

int wk_conf_output_keys(const wk_conf_t *conf)
{
    return conf->S3_OUT.credentials != NULL || conf->S3_OUT.access_key != NULL ||
           conf->S3_OUT.secret_key != NULL;
}

static const char *or_else(const char *own, const char *other)
{
    return own != NULL ? own : other;
}

wk_store_conf_t wk_conf_store(const wk_conf_t *conf, enum media_store which)
{
    const wk_store_conf_t *in = &conf->S3_IN;
    wk_store_conf_t s = conf->s3[which];

    if (which == MEDIA_STORE_INPUT) {
        return s;
    }
    if (s.sse == NULL) {
        s.sse = in->sse;
        s.sse_key = in->sse_key;
        s.sse_bucket_key = in->sse_bucket_key;
    }
    if (!wk_conf_output_keys(conf)) {
        s.credentials = in->credentials;
        s.access_key = in->access_key;
        s.secret_key = in->secret_key;
        s.session_token = in->session_token;
    }
    s.endpoint = or_else(s.endpoint, in->endpoint);
    s.region = or_else(s.region, in->region);
    s.bucket = or_else(s.bucket, in->bucket);
    s.addressing = or_else(s.addressing, in->addressing);
    s.checksum = or_else(s.checksum, in->checksum);
    return s;
}

wk_conf_t wk_conf_backup(const wk_conf_t *conf)
{
    const wk_store_conf_t *in = &conf->S3_IN;
    wk_store_conf_t s = conf->s3_backup;
    wk_conf_t out = *conf;

    if (s.endpoint == NULL) {
        s.addressing = in->addressing;
        s.checksum = in->checksum;
    }
    s.endpoint = or_else(s.endpoint, in->endpoint);
    s.region = or_else(s.region, in->region);
    s.credentials = "file";
    s.profile = "backup";
    if (s.credentials_file != NULL && access(s.credentials_file, F_OK) != 0) {
        s.credentials_file = NULL;
    }
    memset(out.s3, 0, sizeof(out.s3));
    out.S3_IN = s;
    return out;
}
