/* media-gateway: PID 1 of the gateway's container. Makes nginx.conf out of its environment, runs
 * nginx, and tells it what has changed: certificates, keys, routes, addresses. See gw_run.c. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gw_files.h"
#include "gw_probe.h"
#include "gw_run.h"
#include "wk_log.h"

#define PROG "media-gateway"
#define RESOLVE_S 10

static void usage(FILE *out)
{
    fprintf(out, "usage: " PROG " [--render|--probe|--help]\n\n"
                 "Runs nginx with the module, configured by the environment.\n"
                 "  --render  print nginx.conf and exit\n"
                 "  --probe   0 if /healthz of the ops port answers, else 1\n\n");
    gw_conf_help(out);
    fprintf(out,
            "\nS3 keys also come from AWS_ACCESS_KEY_ID and the other variables of the AWS SDKs.\n"
            "TERM, INT and QUIT end nginx when it has finished what it has begun; HUP reloads.\n");
}

static int bad(int code, const media_err_t *ei)
{
    fprintf(stderr, PROG ": %s\n", ei->text);
    return code;
}

static int render(gw_state_t *gw)
{
    media_buf_t text;
    media_err_t ei;
    int rc;

    media_buf_init(&text, GW_TEXT_MAX);
    rc = gw_run_resolve(gw, RESOLVE_S, &ei);
    if (rc == 0) {
        rc = gw_state_render(gw, 1, &text, &ei);
    }
    if (rc == 0) {
        (void)fwrite(text.p, 1, text.len, stdout);
    }
    media_buf_free(&text);
    return rc == 0 ? 0 : bad(1, &ei);
}

int main(int argc, char **argv)
{
    gw_state_t gw = {0};
    const char *arg = argc > 1 ? argv[1] : "";
    media_err_t ei;
    int code;

    if (argc == 2 && strcmp(arg, "--help") == 0) {
        usage(stdout);
        return 0;
    }
    if (argc > 2 || (argc == 2 && strcmp(arg, "--render") != 0 && strcmp(arg, "--probe") != 0)) {
        usage(stderr);
        return 2;
    }
    wk_log_init(PROG, MEDIA_LOG_INFO);
    if (strcmp(arg, "--probe") == 0) {
        gw_conf_load(&gw.conf);
        return gw_probe(&gw.conf);
    }
    gw_run_signals();
    if (gw_state_init(&gw, &ei) != 0) {
        return bad(2, &ei);
    }
    if (argc == 2) {
        code = render(&gw);
    } else if (geteuid() == 0) {
        fprintf(stderr, PROG ": is root, expected an ordinary user\n");
        code = 2;
    } else {
        code = gw_dir_make(gw.conf.run_dir, &ei) == 0 ? gw_run(&gw) : bad(2, &ei);
    }
    gw_state_free(&gw);
    return code;
}
