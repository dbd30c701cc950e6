/* Reads the shared secret, and leaves nothing of it where it was not asked for. */
#include "base/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static const char VARIABLE[] = "SATCHEL_TOKEN";

/* NULL when there is none; writable, for it lies in the process's own memory. */
static char *in_environment(void)
{
    char *text = getenv(VARIABLE);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static enum status check_length(const char *where, size_t len, char *errmsg, size_t errmsg_bytes)
{
    if (len >= TOKEN_BYTES_LEAST && len <= TOKEN_BYTES_MAX) {
        return STATUS_OK;
    }
    (void)snprintf(errmsg, errmsg_bytes, "the token in %s has %zu bytes; %d to %d are wanted",
                   where, len, TOKEN_BYTES_LEAST, TOKEN_BYTES_MAX);
    return STATUS_INVALID;
}

enum status token_check(const char *file, char *errmsg, size_t errmsg_bytes)
{
    const char *text = in_environment();
    if (text == NULL) {
        return STATUS_OK;
    }
    if (file != NULL) {
        (void)snprintf(errmsg, errmsg_bytes,
                       "the token is given twice: by the variable %s, and by --token-file %s",
                       VARIABLE, file);
        return STATUS_INVALID;
    }
    return check_length(VARIABLE, strlen(text), errmsg, errmsg_bytes);
}

/* At most one byte more than a token may have, so that a longer one is noticed. */
static enum status read_file(const char *path, struct buf *out, char *errmsg, size_t errmsg_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    enum status status = fd < 0 ? STATUS_IO : buf_reserve(out, TOKEN_BYTES_MAX + 1);
    if (status == STATUS_OK) {
        status = file_pread_all(&file_ops_system, fd, out->ptr, TOKEN_BYTES_MAX + 1, 0, &out->len);
    }
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read the token file %s: %s", path,
                       strerror(errno));
    }
    if (fd >= 0) {
        (void)close(fd); /* only read from */
    }
    while (out->len > 0 && (out->ptr[out->len - 1] == '\n' || out->ptr[out->len - 1] == '\r')) {
        out->len--;
    }
    return status == STATUS_OK ? check_length(path, out->len, errmsg, errmsg_bytes) : status;
}

/* What the kernel shows as the environment of a process is the memory of the variables as they
 * were at its start, so unsetenv() alone would leave the secret there. */
static enum status take_variable(char *text, struct buf *out, char *errmsg, size_t errmsg_bytes)
{
    enum status status = buf_append(out, view_str(text));
    if (status != STATUS_OK) {
        (void)snprintf(errmsg, errmsg_bytes, "%s", status_text(status));
        return status;
    }
    explicit_bzero(text, strlen(text));
    (void)unsetenv(VARIABLE); /* fails for names with a = only */
    return STATUS_OK;
}

enum status token_read(const char *file, struct buf *out, char *errmsg, size_t errmsg_bytes)
{
    char *text = in_environment();
    enum status status = token_check(file, errmsg, errmsg_bytes);
    if (status == STATUS_OK && file != NULL) {
        status = read_file(file, out, errmsg, errmsg_bytes);
    } else if (status == STATUS_OK && text != NULL) {
        status = take_variable(text, out, errmsg, errmsg_bytes);
    }
    return status;
}

void token_free(struct buf *token)
{
    if (token->ptr != NULL) {
        explicit_bzero(token->ptr, token->cap);
    }
    buf_free(token);
}
