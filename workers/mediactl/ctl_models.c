/* mediactl models: which detectors' models are there, and getting those that have a publisher. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "an_models.h"
#include "ctl.h"
#include "wk_fetch.h"

#define FILE_MAX (1ll << 30)

/* "present", "missing" or "broken"; the cause in ei. */
static const char *state_of(const an_model_t *model, const char *dir, media_err_t *ei)
{
    static an_loaded_t files[AN_MODEL_FILES];
    int rc = an_model_load(model, dir, files, ei);

    an_model_free(files);
    return rc >= 0 ? "present" : rc == MEDIA_E_GONE ? "missing" : "broken";
}

static int is_fetchable(const an_model_t *model)
{
    return model->files[0].url != NULL;
}

static json_t *model_json(const an_model_t *m, const char *state, const char *cause)
{
    json_t *files = json_array();

    for (int i = 0; files != NULL && i < AN_MODEL_FILES && m->files[i].name != NULL; i++) {
        (void)json_array_append_new(files,
                                    json_pack("{s:s,s:s?,s:s?}", "name", m->files[i].name, "sha256",
                                              m->files[i].sha256, "url", m->files[i].url));
    }
    return json_pack("{s:s,s:s,s:s,s:s?,s:s,s:s?,s:s,s:o}", "name", m->name, "kind",
                     an_kind_name(m->kind), "state", state, "cause", cause, "licence", m->licence,
                     "licence_url", m->licence_url, "about", m->about, "files", files);
}

static int list(ctl_t *ctl, int argc, char **argv)
{
    size_t n;
    const an_model_t *models = an_models(&n);
    json_t *rows = ctl->json ? json_array() : NULL;

    if (argc != 0) {
        return ctl_usage("models: unknown argument \"%.60s\"", argv[0]);
    }
    if (!ctl->json) {
        printf("%-16s %-14s %-8s %-8s %-34s %s\n", "NAME", "KIND", "STATE", "FETCH", "LICENCE",
               "WHAT");
    }
    for (size_t i = 0; i < n; i++) {
        media_err_t ei = {""};
        const char *state = state_of(&models[i], ctl->conf.models, &ei);

        if (rows != NULL) {
            (void)json_array_append_new(
                rows, model_json(&models[i], state, ei.text[0] != '\0' ? ei.text : NULL));
            continue;
        }
        printf("%-16s %-14s %-8s %-8s %-34s %s\n", models[i].name, an_kind_name(models[i].kind),
               state, is_fetchable(&models[i]) ? "yes" : "no", models[i].licence, models[i].about);
        if (strcmp(state, "broken") == 0) {
            printf("  %s\n", ei.text);
        }
    }
    if (rows != NULL) {
        (void)json_dumpf(rows, stdout, JSON_INDENT(2));
        (void)putchar('\n');
        json_decref(rows);
    }
    return CTL_OK;
}

/* The bytes at `url` as dir/name: complete and the right ones, or not at all. */
static int fetch_file(const an_file_t *file, const char *url, const char *dir, media_err_t *ei)
{
    char part[4096], path[4096];
    an_loaded_t got;
    int fd, rc;

    if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, file->name) >= sizeof(path) ||
        (size_t)snprintf(part, sizeof(part), "%s/.fetch-XXXXXX", dir) >= sizeof(part)) {
        return media_err_set(ei, MEDIA_E_TOOBIG, "the path is too long");
    }
    fd = mkostemp(part, O_CLOEXEC);
    if (fd < 0) {
        return media_err_set(ei, MEDIA_E_RETRY, "%s cannot be written: %m", dir);
    }
    rc = wk_fetch(url, fd, FILE_MAX, ei);
    if (rc == 0) {
        rc = an_file_check(file, part, &got, ei);
    }
    if (rc == 0 && (fchmod(fd, 0644) != 0 || fsync(fd) != 0 || rename(part, path) != 0)) {
        rc = media_err_set(ei, MEDIA_E_RETRY, "%s cannot be written: %m", path);
    }
    if (rc != 0) {
        (void)unlink(part);
    }
    (void)close(fd);
    return rc;
}

/* From the publisher, or from a directory of the operator's. An exit code; what was tried is told
 * with the failure. */
static int fetch_model(ctl_t *ctl, const an_model_t *m, const char *from, json_t *done)
{
    const char *dir = ctl->conf.models;
    media_err_t ei = {""};

    if (strcmp(state_of(m, dir, &ei), "present") == 0) {
        (void)json_array_append_new(done, model_json(m, "present", NULL));
        if (!ctl->json) {
            printf("%s: is there\n", m->name);
        }
        return CTL_OK;
    }
    if (!ctl->json) {
        printf("%s: %s; licence: %s (%s)\n", m->name, m->about, m->licence, m->licence_url);
        (void)fflush(stdout);
    }
    for (int i = 0; i < AN_MODEL_FILES && m->files[i].name != NULL; i++) {
        char url[4096], path[4096];
        an_loaded_t got;
        int rc;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, m->files[i].name);
        if (an_file_check(&m->files[i], path, &got, &ei) == 0) {
            continue;
        }
        (void)snprintf(url, sizeof(url), "%s%s%s", from != NULL ? from : m->files[i].url,
                       from != NULL ? "/" : "", from != NULL ? m->files[i].name : "");
        rc = fetch_file(&m->files[i], url, dir, &ei);
        if (rc != 0) {
            return ctl_fail(ctl, rc == MEDIA_E_GONE ? CTL_NOT_FOUND : CTL_FAILED,
                            rc == MEDIA_E_REJECT ? "digest_mismatch" : "not_fetched",
                            "model %s: tried %s: %s", m->name, url, ei.text);
        }
        if (!ctl->json) {
            printf("  %s, SHA-256 %s\n", m->files[i].name, m->files[i].sha256);
        }
    }
    (void)json_array_append_new(done, model_json(m, "fetched", NULL));
    return CTL_OK;
}

static int is_named(const char *name, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return 1;
        }
    }
    return argc == 0;
}

static int check_names(ctl_t *ctl, int argc, char **argv)
{
    size_t n;
    const an_model_t *models = an_models(&n);

    for (int i = 0; i < argc; i++) {
        size_t k = 0;

        while (k < n && strcmp(models[k].name, argv[i]) != 0) {
            k++;
        }
        if (k == n) {
            return ctl_fail(ctl, CTL_NOT_FOUND, "not_found", "model %.60s: not found", argv[i]);
        }
        if (!is_fetchable(&models[k])) {
            return ctl_fail(ctl, CTL_FAILED, "not_fetched",
                            "model %s is not fetched from anywhere: %s", argv[i], models[k].about);
        }
    }
    return CTL_OK;
}

static int fetch(ctl_t *ctl, int argc, char **argv)
{
    const char *from = NULL;
    size_t n;
    const an_model_t *models = an_models(&n);
    json_t *done;
    int names = 0, rc = CTL_OK;

    for (int i = 0; i < argc; i++) {
        int is = ctl_option(argc, argv, &i, "--from", &from);

        if (is < 0) {
            return CTL_USAGE;
        }
        if (is == 0 && argv[i][0] == '-') {
            return ctl_usage("models: unknown argument \"%.60s\"", argv[i]);
        }
        if (is == 0) {
            argv[names++] = argv[i];
        }
    }
    if (ctl->conf.models == NULL) {
        return ctl_usage("models: MEDIA_MODELS is not set: where shall they go?");
    }
    rc = check_names(ctl, names, argv);
    done = json_array();
    for (size_t i = 0; rc == CTL_OK && i < n; i++) {
        if (is_fetchable(&models[i]) && is_named(models[i].name, names, argv)) {
            rc = fetch_model(ctl, &models[i], from, done);
        }
    }
    if (rc == CTL_OK && ctl->json) {
        (void)json_dumpf(done, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    }
    json_decref(done);
    return rc;
}

int ctl_models(ctl_t *ctl, int argc, char **argv)
{
    static const ctl_verb_t verbs[] = {{"list", list}, {"fetch", fetch}, {NULL, NULL}};

    return ctl_dispatch(ctl, "models: ", verbs, argc, argv);
}
