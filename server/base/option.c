/* Finds each option's value: on the command line, in the environment, or its default. */
#include "base/option.h"

#include <string.h>

#include "base/option_private.h"

enum { SUGGESTION_DISTANCE_MAX = 3 };

static const struct option_desc *find_option(const struct option_group *groups, size_t group_count,
                                             const char *name, size_t name_len)
{
    for (size_t g = 0; g < group_count; g++) {
        for (size_t i = 0; i < groups[g].count; i++) {
            const struct option_desc *desc = &groups[g].descs[i];
            if (strlen(desc->name) == name_len && memcmp(desc->name, name, name_len) == 0) {
                return desc;
            }
        }
    }
    return NULL;
}

static size_t least_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters must be inserted, removed or replaced to make `b` of `a` (Levenshtein). */
static size_t edit_distance(const char *a, size_t a_len, const char *b)
{
    size_t b_len = strlen(b);
    size_t row[OPTION_NAME_BYTES_MAX + 1];
    if (a_len > OPTION_NAME_BYTES_MAX || b_len > OPTION_NAME_BYTES_MAX) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least_of(replaced, least_of(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

/* The option that was most likely meant, or NULL: a few letters off, but not most of them. */
static const char *nearest_name(const struct option_group *groups, size_t group_count,
                                const char *name, size_t name_len)
{
    const char *nearest = NULL;
    size_t distance_best = least_of(SUGGESTION_DISTANCE_MAX, (name_len + 1) / 2) + 1;
    for (size_t g = 0; g < group_count; g++) {
        for (size_t i = 0; i < groups[g].count; i++) {
            size_t distance = edit_distance(name, name_len, groups[g].descs[i].name);
            if (distance < distance_best) {
                distance_best = distance;
                nearest = groups[g].descs[i].name;
            }
        }
    }
    return nearest;
}

/* One argument, taken apart. */
struct argument {
    const struct option_desc *desc; /* NULL: `--help` or `--version` */
    const char *value;              /* borrowed from argv; NULL for those two */
};

static enum status unknown_option(const struct option_group *groups, size_t group_count,
                                  const char *text, const char *name, size_t name_len,
                                  const struct option_complaint *complaint)
{
    int text_len = (int)(name - text) + (int)name_len;
    const char *meant = nearest_name(groups, group_count, name, name_len);
    if (meant != NULL) {
        return option_complain(complaint, "unknown option %.*s; did you mean --%s?", text_len, text,
                               meant);
    }
    return option_complain(complaint, "unknown option %.*s; --help lists all", text_len, text);
}

/* Takes the argument at `*index`, with the one behind it when that is its value, and moves on. */
static enum status next_argument(const struct option_group *groups, size_t group_count, int argc,
                                 char *const argv[], int *index, struct argument *out,
                                 const struct option_complaint *complaint)
{
    const char *text = argv[(*index)++];
    *out = (struct argument){0};
    if (text[0] != '-') {
        return option_complain(complaint,
                               "unexpected argument \"%s\": there are only options, --help "
                               "lists them",
                               text);
    }
    const char *name = text + strspn(text, "-");
    size_t name_len = strcspn(name, "=");
    if (strcmp(text, "--help") == 0 || strcmp(text, "--version") == 0) {
        return STATUS_OK;
    }
    out->desc = name == text + 2 ? find_option(groups, group_count, name, name_len) : NULL;
    if (out->desc == NULL) {
        return unknown_option(groups, group_count, text, name, name_len, complaint);
    }
    if (name[name_len] == '=') {
        out->value = name + name_len + 1;
    } else if (out->desc->type == OPTION_FLAG) {
        out->value = "yes";
    } else if (*index < argc && strncmp(argv[*index], "--", 2) != 0) {
        out->value = argv[(*index)++];
    } else {
        return option_complain(complaint, "%s needs a value: %s %s", text, text, out->desc->unit);
    }
    return STATUS_OK;
}

/* Looks at the whole command line before any value is: --help works beside a broken variable. */
static enum status check_arguments(const struct option_group *groups, size_t group_count, int argc,
                                   char *const argv[], const char **seen,
                                   const struct option_complaint *complaint)
{
    for (int i = 1; i < argc;) {
        struct argument argument;
        const char *word = argv[i];
        enum status status = next_argument(groups, group_count, argc, argv, &i, &argument,
                                           complaint);
        if (status != STATUS_OK) {
            return status;
        }
        if (argument.desc == NULL) {
            *seen = word + 2;
            return STATUS_END;
        }
    }
    return STATUS_OK;
}

/* The value the command line (checked before) gives to an option, or NULL. */
static const char *value_in_arguments(const struct option_group *groups, size_t group_count,
                                      int argc, char *const argv[], const struct option_desc *desc)
{
    const char *value = NULL;
    char ignored[1];
    for (int i = 1; i < argc;) {
        struct argument argument;
        if (next_argument(groups, group_count, argc, argv, &i, &argument,
                          &(struct option_complaint){ignored, sizeof ignored}) == STATUS_OK &&
            argument.desc == desc) {
            value = argument.value;
        }
    }
    return value;
}

enum status option_parse(const struct option_group *groups, size_t group_count, int argc,
                         char *const argv[], char *(*environ_get)(const char *), const char **seen,
                         char *errmsg, size_t errmsg_bytes)
{
    struct option_complaint complaint = {errmsg, errmsg_bytes};
    enum status status = check_arguments(groups, group_count, argc, argv, seen, &complaint);
    if (status != STATUS_OK) {
        return status;
    }
    for (size_t g = 0; g < group_count; g++) {
        for (size_t i = 0; i < groups[g].count; i++) {
            const struct option_desc *desc = &groups[g].descs[i];
            void *member = (char *)groups[g].into + desc->offset;
            char source[OPTION_NAME_BYTES_MAX];
            (void)snprintf(source, sizeof source, "--%s", desc->name);
            const char *value = value_in_arguments(groups, group_count, argc, argv, desc);
            if (value == NULL) {
                option_environment_name(source, desc);
                value = environ_get(source);
            }
            if (value != NULL) {
                status = option_set_value(desc, member, value, source, &complaint);
            } else if (desc->standard[0] != '\0') {
                (void)snprintf(source, sizeof source, "default of --%s", desc->name);
                status = option_set_value(desc, member, desc->standard, source, &complaint);
            } else {
                option_set_nothing(desc, member);
            }
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return STATUS_OK;
}
