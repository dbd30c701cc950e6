/* HOST:PORT and what comes of it. */
#include "base/address.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

TestSuite(address, .timeout = 30);

Test(address, host_and_port_are_split_and_mistakes_are_named)
{
    static const struct {
        const char *text;
        const char *host; /* NULL: refused */
        unsigned port;
        const char *complaint;
    } cases[] = {
        {"127.0.0.1:7401", "127.0.0.1", 7401, NULL},
        {"0.0.0.0:0", "0.0.0.0", 0, NULL},
        {"localhost:65535", "localhost", 65535, NULL},
        {"[::1]:7401", "::1", 7401, NULL},
        {"[::]:007401", "::", 7401, NULL},
        {"7401", NULL, 0, "no colon"},
        {"", NULL, 0, "no colon"},
        {":7401", NULL, 0, "host is missing"},
        {"[]:7401", NULL, 0, "host is missing"},
        {"::1:7401", NULL, 0, "in brackets"},
        {"[::1:7401", NULL, 0, "in brackets"},
        {"localhost:", NULL, 0, "the port is a number"},
        {"localhost:65536", NULL, 0, "the port is a number"},
        {"localhost:-1", NULL, 0, "the port is a number"},
        {"localhost:74O1", NULL, 0, "the port is a number"},
        {"localhost:4294967297", NULL, 0, "the port is a number"},
        {"localhost: 7401", NULL, 0, "the port is a number"},
        {"[::1]", NULL, 0, "in brackets"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct host_port parsed = {0};
        char errmsg[256] = "";
        enum status status = host_port_parse(cases[i].text, &parsed, errmsg, sizeof errmsg);
        if (cases[i].host == NULL) {
            cr_assert(eq(int, status, STATUS_INVALID), "%s", cases[i].text);
            cr_assert(strstr(errmsg, cases[i].complaint) != NULL, "\"%s\": %s", cases[i].text,
                      errmsg);
            continue;
        }
        cr_assert(eq(int, status, STATUS_OK), "%s: %s", cases[i].text, errmsg);
        cr_assert(eq(str, parsed.host, (char *)cases[i].host));
        cr_assert(eq(uint, parsed.port, cases[i].port));
    }
}

Test(address, a_host_that_is_too_long_is_refused)
{
    char text[HOST_BYTES_MAX + 8];
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 6, ":7401", 6);
    struct host_port parsed;
    char errmsg[256] = "";
    cr_assert(eq(int, host_port_parse(text, &parsed, errmsg, sizeof errmsg), STATUS_INVALID));
    cr_assert(strstr(errmsg, "too long") != NULL, "%s", errmsg);
}

Test(address, peers_are_written_as_people_write_them)
{
    struct sockaddr_storage storage = {0};
    char text[ADDRESS_TEXT_BYTES];

    struct sockaddr_in *four = (struct sockaddr_in *)&storage;
    *four = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(40112)};
    (void)inet_pton(AF_INET, "203.0.113.7", &four->sin_addr);
    address_text(&storage, text);
    cr_assert(eq(str, text, "203.0.113.7:40112"));

    static const char *const sixes[][2] = {
        {"2001:db8::1", "[2001:db8::1]:65535"},
        {"::ffff:203.0.113.7", "203.0.113.7:65535"},
        {"1111:2222:3333:4444:5555:6666:7777:8888",
         "[1111:2222:3333:4444:5555:6666:7777:8888]:65535"},
    };
    for (size_t i = 0; i < sizeof sixes / sizeof sixes[0]; i++) {
        struct sockaddr_in6 *six = (struct sockaddr_in6 *)&storage;
        *six = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(65535)};
        (void)inet_pton(AF_INET6, sixes[i][0], &six->sin6_addr);
        address_text(&storage, text);
        cr_assert(eq(str, text, (char *)sixes[i][1]));
    }
}
