/* Help for who types commands; see help.h. */
#include "redis/help.h"

#include <ctype.h>
#include <stdio.h>

void redis_help(const struct redis_call *call, const char *container, const char *const *lines,
                size_t count)
{
    char first[128];
    (void)snprintf(first, sizeof first,
                   "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container);
    resp_array(call->out, count + 3);
    resp_simple(call->out, first);
    for (size_t i = 0; i < count; i++) {
        resp_simple(call->out, lines[i]);
    }
    resp_simple(call->out, "HELP");
    resp_simple(call->out, "    Prints this help.");
}

void redis_wrong_subcommand(const struct redis_call *call)
{
    char container[32] = "";
    const char *name = call->command->name;
    for (size_t i = 0; name[i] != '|' && name[i] != '\0' && i + 1 < sizeof container; i++) {
        container[i] = (char)toupper((unsigned char)name[i]);
    }
    struct view said = call->argv[1];
    resp_error(call->out,
               "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
               (int)(said.len < 128 ? said.len : 128), (const char *)said.ptr, container);
}
