/* Where each setting of EMF comes from, and what is refused. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ops/emf.h"

/* The environment of a test: NAME=VALUE. */
static const char *variables[8];

static char *look_up(const char *name)
{
    for (size_t i = 0; i < 8 && variables[i] != NULL; i++) {
        size_t len = strlen(name);
        if (strncmp(variables[i], name, len) == 0 && variables[i][len] == '=') {
            return (char *)(uintptr_t)(variables[i] + len + 1);
        }
    }
    return NULL;
}

static struct emf_options options;
static char errmsg[300];

static enum status settle(const char *where)
{
    options.where = where;
    return emf_options_settle(&options, look_up, errmsg, sizeof errmsg);
}

Test(emf_options, nothing_given_sends_nothing)
{
    cr_assert(eq(int, settle(NULL), STATUS_OK));
    cr_assert(eq(int, options.to, EMF_TO_NONE));
    cr_assert(eq(str, (char *)options.metric_namespace, "Satchel"));
    cr_assert(eq(str, (char *)options.service_name, "satchel"));
    cr_assert(eq(ptr, (void *)(uintptr_t)options.log_group, NULL));
}

Test(emf_options, the_place_is_ours_or_that_of_the_official_variables)
{
    static const struct {
        const char *where;
        const char *variables[3];
        enum emf_to to;
        const char *host;
        unsigned port;
    } cases[] = {
        {"none", {"AWS_EMF_ENVIRONMENT=Local"}, EMF_TO_NONE, "", 0},
        {"stdout", {"AWS_EMF_ENVIRONMENT=ECS"}, EMF_TO_STDOUT, "", 0},
        {"agent", {NULL}, EMF_TO_AGENT, "127.0.0.1", 25888},
        {"agent", {"AWS_EMF_AGENT_ENDPOINT=tcp://cw:1"}, EMF_TO_AGENT, "cw", 1},
        {"tcp://[::1]:9", {"AWS_EMF_AGENT_ENDPOINT=tcp://cw:1"}, EMF_TO_AGENT, "::1", 9},
        {NULL, {"AWS_EMF_ENVIRONMENT=Local"}, EMF_TO_STDOUT, "", 0},
        {"",
         {"AWS_EMF_ENVIRONMENT=ecs", "AWS_EMF_AGENT_ENDPOINT=tcp://cw:1"},
         EMF_TO_AGENT,
         "cw",
         1},
        {NULL, {"AWS_EMF_AGENT_ENDPOINT=tcp://cw:1"}, EMF_TO_NONE, "", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(&options, 0, sizeof options);
        memcpy(variables, cases[i].variables, sizeof cases[i].variables);
        cr_assert(eq(int, settle(cases[i].where), STATUS_OK), "%zu: %s", i, errmsg);
        cr_assert(eq(int, options.to, cases[i].to), "%zu", i);
        cr_assert(eq(str, options.agent.host, (char *)cases[i].host));
        cr_assert(eq(uint, options.agent.port, cases[i].port));
    }
}

Test(emf_options, texts_are_ours_or_official)
{
    variables[0] = "AWS_EMF_NAMESPACE=Theirs";
    variables[1] = "AWS_EMF_SERVICE_NAME=my shop";
    variables[2] = "AWS_EMF_SERVICE_TYPE=store";
    variables[3] = "AWS_EMF_LOG_STREAM_NAME=[$LATEST]";
    options.metric_namespace = "Ours";
    cr_assert(eq(int, settle("agent"), STATUS_OK), "%s", errmsg);
    cr_assert(eq(str, (char *)options.metric_namespace, "Ours"));
    cr_assert(eq(str, (char *)options.service_name, "my shop"));
    cr_assert(eq(str, (char *)options.service_type, "store"));
    cr_assert(eq(str, (char *)options.log_stream, "[$LATEST]"));
    cr_assert(eq(str, (char *)options.log_group, "my-shop-metrics"));
    variables[4] = "AWS_EMF_LOG_GROUP_NAME=/ecs/shop";
    options.log_group = NULL;
    cr_assert(eq(int, settle("agent"), STATUS_OK));
    cr_assert(eq(str, (char *)options.log_group, "/ecs/shop"));
}

Test(emf_options, what_cannot_be_used_is_named)
{
    static char longer[300];
    static const struct {
        const char *where;
        const char *variable;
        const char *word;
    } cases[] = {
        {"everywhere", NULL, "SATCHEL_EMF: \"everywhere\""},
        {"Local", NULL, "--emf"},
        {"udp://127.0.0.1:25888", NULL, "only tcp://"},
        {"tcp://127.0.0.1", NULL, "there is no colon"},
        {"tcp://127.0.0.1:0", NULL, "port 0"},
        {"agent", "AWS_EMF_AGENT_ENDPOINT=udp://x:1", "AWS_EMF_AGENT_ENDPOINT"},
        {NULL, "AWS_EMF_ENVIRONMENT=Moon", "AWS_EMF_ENVIRONMENT: \"Moon\""},
        {"stdout", "AWS_EMF_NAMESPACE=a\"b", "AWS_EMF_NAMESPACE: at most 255 bytes"},
        {"stdout", "AWS_EMF_SERVICE_NAME=caf\xc3\xa9", "AWS_EMF_SERVICE_NAME"},
        {"stdout", "AWS_EMF_LOG_GROUP_NAME=a b", "AWS_EMF_LOG_GROUP_NAME"},
        {"stdout", longer, "AWS_EMF_NAMESPACE"},
    };
    (void)snprintf(longer, sizeof longer, "AWS_EMF_NAMESPACE=%0256d", 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        memset(&options, 0, sizeof options);
        variables[0] = cases[i].variable;
        cr_assert(eq(int, settle(cases[i].where), STATUS_INVALID), "%zu", i);
        cr_assert_not_null(strstr(errmsg, cases[i].word), "%s", errmsg);
    }
    variables[0] = NULL;
    memset(&options, 0, sizeof options);
    (void)close(STDOUT_FILENO);
    cr_assert(eq(int, settle("stdout"), STATUS_INVALID));
    cr_assert_not_null(strstr(errmsg, "standard output is closed"), "%s", errmsg);
    memset(&options, 0, sizeof options);
    options.service_name = "\t";
    cr_assert(eq(int, settle("agent"), STATUS_INVALID));
    cr_assert_not_null(strstr(errmsg, "--emf-service-name"), "%s", errmsg);
}
