#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <satchel/satchel.h>

static const char help[] =
    "Usage: cart [OPTION]...\n"
    "A shopping cart web service that keeps its carts in a Satchel store.\n"
    "\n"
    "  --listen ADDRESS:PORT  where to serve HTTP; port 0 picks a free one\n"
    "                         [CART_LISTEN, else 127.0.0.1:8080]\n"
    "  --store HOST:PORT      the store [CART_STORE, else 127.0.0.1:7401]\n"
    "  --token-file FILE      the store's shared secret [CART_TOKEN_FILE, else\n"
    "                         what CART_TOKEN is, else none]\n"
    "  --quantity-max N       most pieces of one product in a cart, 1 to 1000000\n"
    "                         [CART_QUANTITY_MAX, else 99]\n"
    "  --secure-cookie        send the cookie over TLS only; for a service behind a load\n"
    "                         balancer that speaks HTTPS [CART_SECURE_COOKIE=1]\n"
    "  --emf TARGET           where metrics go, in CloudWatch's Embedded Metric Format: none,\n"
    "                         stdout, an agent's tcp://HOST:PORT, or auto: what AWS_EMF_... say\n"
    "                         [CART_EMF, else none]\n"
    "  --service NAME         ServiceName of the metrics [CART_SERVICE, else cart]\n"
    "  --help                 this text\n"
    "  --version              the version\n"
    "\n"
    "SIGTERM and SIGINT: stops accepting, finishes the requests in flight, exits 0.\n";

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static bool parse_quantity_max(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < 1 || value > 1000000) {
        fprintf(stderr, "cart: the largest quantity is a number from 1 to 1000000, not \"%s\"\n",
                text);
        return false;
    }
    *out = value;
    return true;
}

/* Takes the secret out of the environment, where a look at /proc/PID/environ would show it as long
 * as the process lives. */
static bool take_token(const char *file, char token[OPTIONS_TOKEN_BYTES_MAX + 1])
{
    char *text = getenv("CART_TOKEN");
    if (!text || !*text) {
        return true;
    }
    size_t len = strlen(text);
    if (file || len > OPTIONS_TOKEN_BYTES_MAX) {
        fputs(file ? "cart: the token is given twice: by CART_TOKEN, and by a token file\n"
                   : "cart: CART_TOKEN is too long for a token\n",
              stderr);
        return false;
    }
    memcpy(token, text, len + 1);
    explicit_bzero(text, len);
    (void)unsetenv("CART_TOKEN");
    return true;
}

/* Reads the first line of `path` into `token`. */
static bool read_token(const char *path, char token[OPTIONS_TOKEN_BYTES_MAX + 1])
{
    FILE *file = fopen(path, "re");
    if (!file) {
        fprintf(stderr, "cart: cannot open the token file %s: %s\n", path, strerror(errno));
        return false;
    }
    size_t len = fread(token, 1, OPTIONS_TOKEN_BYTES_MAX + 1, file);
    bool failed = ferror(file) != 0;
    (void)fclose(file); /* only read from: closing cannot lose anything */
    size_t line = 0;
    while (line < len && token[line] != '\n' && token[line] != '\r' && token[line] != '\0') {
        line++;
    }
    if (failed || line == 0 || line > OPTIONS_TOKEN_BYTES_MAX) {
        fprintf(stderr, "cart: the token file %s should hold one line of 1 to %d bytes\n", path,
                OPTIONS_TOKEN_BYTES_MAX);
        return false;
    }
    token[line] = '\0';
    return true;
}

enum options_action options_parse(int argc, char **argv, struct options *out)
{
    static const struct option known[] = {
        {"listen", required_argument, NULL, 'l'},
        {"store", required_argument, NULL, 's'},
        {"token-file", required_argument, NULL, 't'},
        {"quantity-max", required_argument, NULL, 'q'},
        {"secure-cookie", no_argument, NULL, 'c'},
        {"emf", required_argument, NULL, 'e'},
        {"service", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    const char *token_file = environment("CART_TOKEN_FILE", NULL);
    const char *quantity_max = environment("CART_QUANTITY_MAX", "99");
    *out = (struct options){
        .listen = environment("CART_LISTEN", "127.0.0.1:8080"),
        .store = environment("CART_STORE", "127.0.0.1:7401"),
        .emf = environment("CART_EMF", "none"),
        .service = environment("CART_SERVICE", "cart"),
        .secure_cookie = strcmp(environment("CART_SECURE_COOKIE", "0"), "1") == 0,
    };
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'l':
            out->listen = optarg;
            break;
        case 's':
            out->store = optarg;
            break;
        case 't':
            token_file = optarg;
            break;
        case 'q':
            quantity_max = optarg;
            break;
        case 'c':
            out->secure_cookie = true;
            break;
        case 'e':
            out->emf = optarg;
            break;
        case 'n':
            out->service = optarg;
            break;
        case 'h':
            fputs(help, stdout);
            return OPTIONS_EXIT_OK;
        case 'v':
            printf("cart %s\n", satchel_version());
            return OPTIONS_EXIT_OK;
        default: /* getopt_long has said what is wrong */
            return OPTIONS_EXIT_USAGE;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "cart: unexpected argument \"%s\"; see cart --help\n", argv[optind]);
        return OPTIONS_EXIT_USAGE;
    }
    if (!parse_quantity_max(quantity_max, &out->quantity_max) ||
        !take_token(token_file, out->token) ||
        (token_file && !read_token(token_file, out->token))) {
        return OPTIONS_EXIT_USAGE;
    }
    return OPTIONS_RUN;
}
