#include "load/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/token.h"
#include "load/scenario.h"

const struct setting settings[SETTING_TOTAL] = {
#define X(name, member, type, in_file, least, most, standard, unit, help)                          \
    {name,  SETTING_##type, in_file,                                                               \
     least, most,           standard,                                                              \
     unit,  help,           offsetof(struct options, member)},
    SETTINGS(X)
#undef X
};

size_t setting_find(const char *name, size_t len)
{
    size_t i = 0;
    while (i < SETTING_TOTAL &&
           (strlen(settings[i].name) != len || strncmp(settings[i].name, name, len) != 0)) {
        i++;
    }
    return i;
}

/* Collects the texts of the command line; the last one of a name counts. */
static bool read_arguments(int argc, char *const argv[], const char *texts[SETTING_TOTAL],
                           char *why, size_t why_bytes)
{
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strncmp(name, "--", 2) != 0) {
            (void)snprintf(why, why_bytes, "\"%s\" is not an option (--help lists them)", name);
            return false;
        }
        name += 2;
        size_t len = strcspn(name, "=");
        size_t at = setting_find(name, len);
        if (at == SETTING_TOTAL) {
            (void)snprintf(why, why_bytes, "no such option: --%.*s (--help lists them)", (int)len,
                           name);
            return false;
        }
        if (name[len] == '=') {
            texts[at] = name + len + 1;
        } else if (settings[at].type == SETTING_FLAG) {
            texts[at] = "yes";
        } else if (i + 1 < argc) {
            texts[at] = argv[++i];
        } else {
            (void)snprintf(why, why_bytes, "--%s wants a value (%s)", name, settings[at].unit);
            return false;
        }
    }
    return true;
}

/* Settings that are good one by one and do not go together. */
static bool check_together(const struct options *self, char *why, size_t why_bytes)
{
    const char *problem = NULL;
    if (self->server == NULL) {
        problem = "--server HOST:PORT is wanted (--help lists the options)";
    } else if (self->seconds <= 0) {
        problem = "seconds: there is nothing to measure in no time";
    } else if (self->threads > self->connections) {
        problem = "threads: more than there are connections";
    } else if (self->pipeline > 1 && mix_has(&self->mix, OPERATION_CONNECT)) {
        problem =
            "pipeline: who leaves a connection has nothing else in flight on it, so a mix with"
            " connect wants 1";
    } else if (self->protocol == PROTOCOL_MEMCACHE && mix_has_fields(&self->mix)) {
        problem = "mix: memcache has no fields, so no patch and no incr";
    }
    if (problem != NULL) {
        (void)snprintf(why, why_bytes, "%s", problem);
    }
    return problem == NULL;
}

/* Parses what counts of each setting: the argument, else the scenario's line, else the default. */
static bool choose(struct options *self, const char *const arguments[SETTING_TOTAL],
                   const struct scenario *scenario, char *why, size_t why_bytes)
{
    for (size_t i = 0; i < SETTING_TOTAL; i++) {
        char reason[OPTIONS_WHY_BYTES / 2];
        const char *in_file = scenario->values[i];
        self->texts[i] = arguments[i] != NULL ? arguments[i]
                         : in_file != NULL    ? in_file
                                              : settings[i].standard;
        if (setting_parse(&settings[i], self->texts[i], self, reason, sizeof reason)) {
            continue;
        }
        if (arguments[i] != NULL) {
            (void)snprintf(why, why_bytes, "--%s: %s", settings[i].name, reason);
        } else {
            (void)snprintf(why, why_bytes, "%s:%u: %s: %s", scenario->path, scenario->lines[i],
                           settings[i].name, reason);
        }
        return false;
    }
    return true;
}

/* The secret of the server, from where the service's own task has it. */
static bool read_token(struct options *self, char *why, size_t why_bytes)
{
    const char *file = self->token_file != NULL ? self->token_file : getenv("SATCHEL_TOKEN_FILE");
    bool has_file = file != NULL && file[0] != '\0';
    return token_read(has_file ? file : NULL, &self->token, why, why_bytes) == STATUS_OK;
}

/* "read-mostly" of "my/read-mostly.conf". */
static void name_scenario(struct options *self, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    const char *dot = strrchr(name, '.');
    int len = dot == NULL || dot == name ? (int)strlen(name) : (int)(dot - name);
    (void)snprintf(self->scenario_name, sizeof self->scenario_name, "%.*s", len, name);
}

bool options_read(struct options *self, int argc, char *const argv[], char *why, size_t why_bytes)
{
    const char *arguments[SETTING_TOTAL] = {NULL};
    struct scenario scenario = {.path = NULL};
    *self = (struct options){.scenario_text = NULL};
    if (!read_arguments(argc, argv, arguments, why, why_bytes)) {
        return false;
    }
    const char *file = arguments[setting_find("scenario", strlen("scenario"))];
    bool done = file == NULL || scenario_read(&scenario, file, why, why_bytes);
    if (done) {
        done = choose(self, arguments, &scenario, why, why_bytes);
        self->scenario_text = scenario.text; /* self->texts point into it */
        scenario.text = NULL;
        if (file != NULL) {
            name_scenario(self, scenario.path);
        }
    }
    scenario_free(&scenario);
    if (self->help || self->version || self->list_scenarios) {
        return true;
    }
    return done && check_together(self, why, why_bytes) && read_token(self, why, why_bytes);
}

void options_free(struct options *self)
{
    token_free(&self->token);
    free(self->scenario_text);
    self->scenario_text = NULL;
}

void options_help(FILE *to)
{
    fputs("usage: satchel-bench --server HOST:PORT [--scenario NAME|FILE] [OPTION…]\n\n"
          "Puts load on a session store and measures it; every answer is checked.\n\n",
          to);
    for (size_t i = 0; i < SETTING_TOTAL; i++) {
        const struct setting *setting = &settings[i];
        char head[64];
        (void)snprintf(head, sizeof head, "--%s %s", setting->name, setting->unit);
        fprintf(to, "  %-41s  %s", head, setting->help);
        if (setting->type != SETTING_FLAG && setting->standard[0] != '\0') {
            fprintf(to, " [%s]", setting->standard);
        }
        fputc('\n', to);
    }
    fputs("\nOperations of a mix: get set touch delete patch incr connect.\n"
          "Exit codes: 0 measured; 1 a wrong value or an error was seen; 2 usage;\n"
          "3 the server cannot be reached or broke off.\n",
          to);
}
