/* Is a command within the protocol's limits, and do its members go together? */
#include "session/fields.h"
#include "session/session.h"

static enum satchel_status refuse(enum satchel_status status, const char *text, const char **why)
{
    *why = text;
    return status;
}

static enum satchel_status check_sizes(const struct command *cmd, uint64_t value_bytes_max,
                                       const char **why)
{
    if (cmd->id.len == 0) {
        return refuse(SATCHEL_BAD_REQUEST, "the session id is missing or empty", why);
    }
    if (cmd->id.len > SATCHEL_ID_BYTES_MAX) {
        return refuse(SATCHEL_TOO_LARGE, "the session id is too long", why);
    }
    if (cmd->owner.len > SATCHEL_OWNER_BYTES_MAX) {
        return refuse(SATCHEL_TOO_LARGE, "the owner is too long", why);
    }
    if (cmd->content.len > value_bytes_max || cmd->content.len > SATCHEL_VALUE_BYTES_MAX) {
        return refuse(SATCHEL_TOO_LARGE, "the content is too large", why);
    }
    if (cmd->ops.len > value_bytes_max || cmd->ops.len > SATCHEL_VALUE_BYTES_MAX) {
        return refuse(SATCHEL_TOO_LARGE, "the operations are too large", why);
    }
    if (cmd->ttl_ms > SATCHEL_TTL_MS_MAX || cmd->idle_ttl_ms > SATCHEL_TTL_MS_MAX) {
        return refuse(SATCHEL_TOO_LARGE, "the time to live is over ten years", why);
    }
    return SATCHEL_OK;
}

/* What a command may carry. A member that means nothing to it is refused rather than ignored: the
 * sender believes that it does something. */
static enum satchel_status check_members(const struct command *cmd, const char **why)
{
    bool set = cmd->op == SATCHEL_OP_SET;
    bool patch = cmd->op == SATCHEL_OP_PATCH;
    bool touch = cmd->op == SATCHEL_OP_TOUCH;
    bool times = cmd->ttl_ms != 0 || cmd->idle_ttl_ms != 0;
    if (cmd->condition != CONDITION_NONE && cmd->op == SATCHEL_OP_GET) {
        return refuse(SATCHEL_BAD_REQUEST, "a GET takes no condition", why);
    }
    if (times && !set && !patch && !touch) {
        return refuse(SATCHEL_BAD_REQUEST, "this command takes no times", why);
    }
    if (cmd->ttl_ms != 0 && cmd->idle_ttl_ms != 0) {
        return refuse(SATCHEL_BAD_REQUEST, "a fixed and a sliding time exclude each other", why);
    }
    if (cmd->keep_ttl && (!set || times)) {
        return refuse(SATCHEL_BAD_REQUEST, "only a SET without times can keep the times", why);
    }
    if (cmd->touch && cmd->op != SATCHEL_OP_GET) {
        return refuse(SATCHEL_BAD_REQUEST, "only a GET can also touch", why);
    }
    if ((cmd->return_content || cmd->ops.len != 0) && !patch) {
        return refuse(SATCHEL_BAD_REQUEST, "only a PATCH has operations", why);
    }
    if (cmd->has_owner ? !set && !patch : cmd->owner.len != 0) {
        return refuse(SATCHEL_BAD_REQUEST, "only a SET or a PATCH gives an owner", why);
    }
    if (cmd->content.len != 0 && !set) {
        return refuse(SATCHEL_BAD_REQUEST, "only a SET has content", why);
    }
    return SATCHEL_OK;
}

static enum satchel_status check_content(const struct command *cmd, const char **why)
{
    if (cmd->op == SATCHEL_OP_SET) {
        enum satchel_status status = content_check(cmd->kind, cmd->content);
        return status == SATCHEL_TOO_LARGE
                   ? refuse(status, "too many fields, or a name too long", why)
               : status == SATCHEL_OK
                   ? status
                   : refuse(status, "the fields are malformed, a name stands twice or has a value",
                            why);
    }
    if (cmd->op == SATCHEL_OP_PATCH) {
        enum satchel_status status = ops_check(cmd->ops);
        return status == SATCHEL_TOO_LARGE
                   ? refuse(status, "too many operations, or a name too long", why)
               : status == SATCHEL_OK
                   ? status
                   : refuse(status, "the operations are missing or malformed", why);
    }
    return SATCHEL_OK;
}

enum satchel_status session_check_command(const struct command *cmd, uint64_t value_bytes_max,
                                          const char **why)
{
    enum satchel_status status = check_sizes(cmd, value_bytes_max, why);
    if (status == SATCHEL_OK) {
        status = check_members(cmd, why);
    }
    if (status == SATCHEL_OK) {
        status = check_content(cmd, why);
    }
    return status;
}
