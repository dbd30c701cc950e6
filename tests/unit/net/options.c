/* The option table as a user meets it. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "net/net.h"

static char *no_environment(const char *name)
{
    (void)name;
    return NULL;
}

Test(net_options, the_defaults_are_those_of_the_design)
{
    struct net_options options = {0};
    struct option_group group = {
        .title = "net", .descs = net_option_descs, .count = net_option_count, .into = &options};
    char program[] = "satcheld";
    char *argv[] = {program, NULL};
    const char *seen = NULL;
    char errmsg[256] = "";
    cr_assert(eq(int,
                 option_parse(&group, 1, 1, argv, no_environment, &seen, errmsg, sizeof errmsg),
                 STATUS_OK),
              "%s", errmsg);
    cr_assert(eq(str, (char *)options.listen, "127.0.0.1:7401"));
    cr_assert(eq(u64, options.workers, 0));
    cr_assert(eq(u64, options.connections_max, 20000));
    cr_assert(eq(u64, options.unsent_bytes_max, 8 * 1024 * 1024));
    cr_assert(eq(u64, options.held_bytes_max, 256 * 1024 * 1024));
    cr_assert(eq(u64, options.stall_ms, 30000));
}

Test(net_options, values_out_of_range_are_refused_by_name)
{
    static const char *const wrong[] = {"--workers=129", "--connections-max=0", "--unsent-max=1k",
                                        "--stall=99ms"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct net_options options = {0};
        struct option_group group = {
            .title = "net", .descs = net_option_descs, .count = net_option_count, .into = &options};
        char program[] = "satcheld";
        char argument[64];
        (void)snprintf(argument, sizeof argument, "%s", wrong[i]);
        char *argv[] = {program, argument, NULL};
        const char *seen = NULL;
        char errmsg[256] = "";
        cr_assert(eq(int,
                     option_parse(&group, 1, 2, argv, no_environment, &seen, errmsg, sizeof errmsg),
                     STATUS_INVALID),
                  "%s", wrong[i]);
        argument[strcspn(argument, "=")] = '\0';
        cr_assert(strstr(errmsg, argument) != NULL, "%s", errmsg);
    }
}
