/* mediactl user: accounts. A password enters by standard input only and leaves as a yescrypt hash.
 */
#include "ctl.h"

#include <crypt.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "media/buf.h"

#define ROLES_MAX 16
#define PASSWORD_MAX 256

static int email_check(const char *email)
{
    size_t n = strlen(email);
    const char *at = strrchr(email, '@');

    if (n < 3 || n > 254 || at == NULL || at == email || at[1] == '\0') {
        return ctl_usage("\"%.60s\" is no e-mail address", email);
    }
    for (const char *p = email; *p != '\0'; p++) {
        if ((unsigned char)*p <= 0x20 || *p == 0x7f) {
            return ctl_usage("an e-mail address holds no spaces or control characters");
        }
    }
    return CTL_OK;
}

static int role_valid(const char *role)
{
    size_t n = strlen(role);

    return n >= 1 && n <= 32 && strspn(role, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

/* Standard input up to its first line's end. 0, or an exit code. dst is cleansed on failure. */
static int read_password(ctl_t *ctl, char *dst, size_t cap)
{
    size_t n = 0;
    ssize_t got;

    while (n < cap && memchr(dst, '\n', n) == NULL) {
        got = read(STDIN_FILENO, dst + n, cap - n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            OPENSSL_cleanse(dst, cap);
            return ctl_fail(ctl, CTL_FAILED, "internal", "standard input: %s", strerror(errno));
        }
        if (got == 0) {
            break;
        }
        n += (size_t)got;
    }
    char *eol = memchr(dst, '\n', n);
    if (eol != NULL) {
        n = (size_t)(eol - dst);
        n -= n > 0 && dst[n - 1] == '\r';
    }
    if (n == 0 || n > PASSWORD_MAX) {
        OPENSSL_cleanse(dst, cap);
        return ctl_usage("a password has 1 to %d bytes", PASSWORD_MAX);
    }
    OPENSSL_cleanse(dst + n, cap - n);
    for (size_t i = 0; i < n; i++) {
        /* HTTP Basic could not carry them (RFC 7617 2) */
        if ((unsigned char)dst[i] < 0x20 || dst[i] == 0x7f) {
            OPENSSL_cleanse(dst, cap);
            return ctl_usage("a password holds no control characters");
        }
    }
    return CTL_OK;
}

/* yescrypt with the library's default cost and a salt of the system's random source. */
static int hash_password(ctl_t *ctl, const char *password, char *dst, size_t cap)
{
    struct crypt_data *work = calloc(1, sizeof(*work));
    char salt[CRYPT_GENSALT_OUTPUT_SIZE];
    const char *hash = NULL;
    int rc = CTL_OK;

    if (work != NULL && crypt_gensalt_rn("$y$", 0, NULL, 0, salt, sizeof(salt)) != NULL) {
        hash = crypt_rn(password, salt, work, (int)sizeof(*work));
    }
    if (hash == NULL || hash[0] != '$' || strlen(hash) >= cap) {
        rc = ctl_fail(ctl, CTL_FAILED, "internal", "the password could not be hashed");
    } else {
        memcpy(dst, hash, strlen(hash) + 1);
    }
    if (work != NULL) {
        OPENSSL_cleanse(work, sizeof(*work));
        free(work);
    }
    return rc;
}

typedef struct {
    const char *email;
    const char *roles[ROLES_MAX];
    size_t nroles;
    int from_stdin;
} user_args_t;

static int parse_args(int argc, char **argv, const char *what, int with_roles, user_args_t *out)
{
    memset(out, 0, sizeof(*out));
    for (int i = 0; i < argc; i++) {
        const char *value;
        int rc = with_roles ? ctl_option(argc, argv, &i, "--role", &value) : 0;

        if (rc < 0) {
            return CTL_USAGE;
        }
        if (rc > 0) {
            if (!role_valid(value)) {
                return ctl_usage("\"%.60s\" is no role", value);
            }
            if (out->nroles == ROLES_MAX) {
                return ctl_usage("more than %d roles", ROLES_MAX);
            }
            out->roles[out->nroles++] = value;
        } else if (strcmp(argv[i], "--password-stdin") == 0) {
            out->from_stdin = 1;
        } else if (argv[i][0] == '-' || out->email != NULL) {
            /* not echoed: it could be a password */
            return ctl_usage("%s: unknown argument", what);
        } else {
            out->email = argv[i];
        }
    }
    if (out->email == NULL) {
        return ctl_usage("%s: an e-mail address is missing", what);
    }
    if (!out->from_stdin) {
        return ctl_usage("%s: --password-stdin is missing", what);
    }
    return email_check(out->email);
}

/* Reads and hashes: the password itself does not leave this function. */
static int take_hash(ctl_t *ctl, char *hash, size_t cap)
{
    char password[PASSWORD_MAX + 3]; /* with "\r\n", and one to see that it is too long */
    int rc;

    memset(password, 0, sizeof(password));
    rc = read_password(ctl, password, sizeof(password));
    if (rc == CTL_OK) {
        rc = hash_password(ctl, password, hash, cap);
    }
    OPENSSL_cleanse(password, sizeof(password));
    return rc;
}

static int user_add(ctl_t *ctl, int argc, char **argv)
{
    char hash[CRYPT_OUTPUT_SIZE];
    char what[300];
    wk_pg_result_t *res = NULL;
    user_args_t args;
    media_buf_t roles;
    int rc;

    media_buf_init(&roles, 1024);
    rc = parse_args(argc, argv, "user add", 1, &args);
    if (rc == CTL_OK) {
        rc = take_hash(ctl, hash, sizeof(hash));
    }
    if (rc != CTL_OK) {
        goto done;
    }
    (void)media_buf_cstr(&roles, args.nroles == 0 ? "{user" : "{");
    for (size_t i = 0; i < args.nroles; i++) {
        (void)media_buf_fmt(&roles, "%s%s", i > 0 ? "," : "", args.roles[i]);
    }
    if (media_buf_cstr(&roles, "}") != 0) {
        rc = ctl_fail(ctl, CTL_FAILED, "internal", "out of memory");
        goto done;
    }
    const char *params[] = {args.email, hash, roles.p};
    rc = ctl_query(ctl, MEDIA_STMT_CTL_USER_ADD, params, &res);
    if (rc == CTL_OK) {
        (void)snprintf(what, sizeof(what), "user %s", args.email);
        rc = ctl_result_code(ctl, res, what, "there is such a user already");
    }
    if (rc == CTL_OK) {
        const char *id = wk_pg_value(res, 0, 1);
        rc = ctl_print_done(ctl, json_pack("{s:s?,s:s}", "id", id, "email", args.email),
                            "user %s added, id %s", args.email, id != NULL ? id : "?");
    }

done:
    wk_pg_result_free(res);
    media_buf_free(&roles);
    OPENSSL_cleanse(hash, sizeof(hash));
    return rc;
}

/* Runs a statement whose result is a code, about one user. */
static int run_about(ctl_t *ctl, enum media_stmt stmt, const char *const *params, const char *did)
{
    wk_pg_result_t *res = NULL;
    char what[300];
    int rc = ctl_query(ctl, stmt, params, &res);

    if (rc == CTL_OK) {
        (void)snprintf(what, sizeof(what), "user %s", params[0]);
        rc = ctl_result_code(ctl, res, what, NULL);
    }
    if (rc == CTL_OK) {
        rc = ctl_print_done(ctl, json_pack("{s:s,s:s}", "email", params[0], "done", did),
                            "user %s: %s", params[0], did);
    }
    wk_pg_result_free(res);
    return rc;
}

static int user_passwd(ctl_t *ctl, int argc, char **argv)
{
    char hash[CRYPT_OUTPUT_SIZE];
    user_args_t args;
    int rc = parse_args(argc, argv, "user passwd", 0, &args);

    if (rc == CTL_OK) {
        rc = take_hash(ctl, hash, sizeof(hash));
    }
    if (rc == CTL_OK) {
        const char *params[] = {args.email, hash};
        rc = run_about(ctl, MEDIA_STMT_CTL_USER_PASSWD, params, "password changed");
    }
    OPENSSL_cleanse(hash, sizeof(hash));
    return rc;
}

static int set_disabled(ctl_t *ctl, int argc, char **argv, int disabled)
{
    const char *params[2];

    if (argc != 1) {
        return ctl_usage("user %s takes one e-mail address", disabled ? "disable" : "enable");
    }
    params[0] = argv[0];
    params[1] = disabled ? "t" : "f";
    if (email_check(argv[0]) != CTL_OK) {
        return CTL_USAGE;
    }
    return run_about(ctl, MEDIA_STMT_CTL_USER_DISABLE, params, disabled ? "disabled" : "enabled");
}

static int user_disable(ctl_t *ctl, int argc, char **argv)
{
    return set_disabled(ctl, argc, argv, 1);
}

static int user_enable(ctl_t *ctl, int argc, char **argv)
{
    return set_disabled(ctl, argc, argv, 0);
}

static int user_list(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_col_t cols[] = {{"id", "ID", CTL_TEXT},
                                     {"email", "EMAIL", CTL_TEXT},
                                     {"roles", "ROLES", CTL_LIST},
                                     {"disabled", "DISABLED", CTL_BOOL},
                                     {"created_at", "CREATED", CTL_TEXT},
                                     {"media", "MEDIA", CTL_NUMBER},
                                     {"bytes", "BYTES", CTL_NUMBER}};
    wk_pg_result_t *res = NULL;
    int rc;

    (void)argv;
    if (argc != 0) {
        return ctl_usage("user list takes no argument");
    }
    rc = ctl_query(ctl, MEDIA_STMT_CTL_USER_LIST, NULL, &res);
    if (rc == CTL_OK) {
        rc = ctl_print_rows(ctl, res, cols, sizeof(cols) / sizeof(cols[0]));
    }
    wk_pg_result_free(res);
    return rc;
}

/* A limit as the database takes it: "default", a number, or -1 for "none". */
static int quota_value(const char *option, const char *text, int with_unit, char *dst, size_t cap)
{
    static const char units[] = "kmgt";
    const char *unit;
    size_t digits = strspn(text, "0123456789");
    ptrdiff_t power;
    int64_t n;

    if (strcmp(text, "default") == 0 || strcmp(text, "none") == 0) {
        (void)snprintf(dst, cap, "%s", text[0] == 'n' ? "-1" : text);
        return CTL_OK;
    }
    if (digits == 0 || media_str_to_i64((media_str_t){text, digits}, &n) != 0) {
        return ctl_usage("%s: \"%.60s\" is no number, none or default", option, text);
    }
    if (with_unit && text[digits] != '\0' && text[digits + 1] == '\0' &&
        (unit = strchr(units, text[digits] | 0x20)) != NULL) {
        for (power = unit - units + 1; power > 0 && n <= INT64_MAX / 1024; power--) {
            n *= 1024;
        }
        digits += power == 0;
    }
    if (text[digits] != '\0' || n > (with_unit ? INT64_MAX : INT32_MAX)) {
        return ctl_usage("%s: \"%.60s\" is no such number", option, text);
    }
    (void)snprintf(dst, cap, "%" PRId64, n);
    return CTL_OK;
}

static int user_quota(ctl_t *ctl, int argc, char **argv)
{
    char bytes[32], uploads[32], what[300];
    const char *params[3] = {NULL, NULL, NULL};
    wk_pg_result_t *res = NULL;
    int rc = CTL_OK;

    for (int i = 0; i < argc && rc == CTL_OK; i++) {
        const char *value;
        int is_bytes = ctl_option(argc, argv, &i, "--bytes", &value);
        int is_uploads = is_bytes == 0 ? ctl_option(argc, argv, &i, "--uploads", &value) : 0;

        if (is_bytes < 0 || is_uploads < 0) {
            return CTL_USAGE;
        }
        if (is_bytes > 0) {
            rc = quota_value("--bytes", value, 1, bytes, sizeof(bytes));
            params[1] = bytes;
        } else if (is_uploads > 0) {
            rc = quota_value("--uploads", value, 0, uploads, sizeof(uploads));
            params[2] = uploads;
        } else if (argv[i][0] == '-' || params[0] != NULL) {
            return ctl_usage("user quota: unknown argument \"%.60s\"", argv[i]);
        } else {
            params[0] = argv[i];
            rc = email_check(argv[i]);
        }
    }
    if (rc == CTL_OK && params[0] == NULL) {
        return ctl_usage("user quota: an e-mail address is missing");
    }
    if (rc == CTL_OK) {
        rc = ctl_query(ctl, MEDIA_STMT_CTL_USER_QUOTA, params, &res);
    }
    if (rc == CTL_OK) {
        (void)snprintf(what, sizeof(what), "user %s", params[0]);
        rc = ctl_result_code(ctl, res, what, NULL);
    }
    if (rc == CTL_OK) {
        rc = ctl_print_object(ctl, wk_pg_value(res, 0, 1));
    }
    wk_pg_result_free(res);
    return rc;
}

int ctl_user(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_verb_t verbs[] = {{"add", user_add},
                                       {"passwd", user_passwd},
                                       {"disable", user_disable},
                                       {"enable", user_enable},
                                       {"quota", user_quota},
                                       {"list", user_list},
                                       {NULL, NULL}};

    return ctl_dispatch(ctl, "user: ", verbs, argc, argv);
}
