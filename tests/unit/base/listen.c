/* Listening on addresses, good and bad. */
#include "base/address.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

Test(listen, takes_numbers_and_names_and_tells_the_port)
{
    static const char *const addresses[] = {"127.0.0.1:0", "localhost:0"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char errmsg[200] = "";
        int fd = -1;
        uint16_t port = 0;
        cr_assert(
            eq(int, address_listen(addresses[i], 1, &fd, &port, errmsg, sizeof errmsg), STATUS_OK),
            "%s", errmsg);
        cr_assert(lt(uint, 0, port));
        cr_assert(ne(int, fcntl(fd, F_GETFL) & O_NONBLOCK, 0));
        cr_assert(ne(int, fcntl(fd, F_GETFD) & FD_CLOEXEC, 0));
        cr_assert(eq(int, close(fd), 0));
    }
}

Test(listen, refuses_what_is_no_address)
{
    static const char *const addresses[] = {
        "",         "7402",           ":7402",          "127.0.0.1",        "127.0.0.1:",
        "::1:7402", "127.0.0.1:http", "127.0.0.1:+1",   "127.0.0.1:123456", "127.0.0.1:65536",
        "[]:7402",  "[::1:7402",      "127.0.0.1: 740", "127.0.0.1:7402x",
    };
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char errmsg[200] = "";
        int fd = -1;
        uint16_t port;
        cr_assert(eq(int, address_listen(addresses[i], 1, &fd, &port, errmsg, sizeof errmsg),
                     STATUS_INVALID),
                  "%s", addresses[i]);
        cr_assert(lt(sz, 10, strlen(errmsg)), "%s", errmsg);
        cr_assert(eq(int, fd, -1));
    }
}

Test(listen, an_address_of_another_machine_is_refused)
{
    char errmsg[200] = "";
    int fd = -1;
    uint16_t port;
    /* 192.0.2.0/24 belongs to documentation (RFC 5737), so no machine has it. */
    cr_assert(eq(int, address_listen("192.0.2.1:0", 1, &fd, &port, errmsg, sizeof errmsg),
                 STATUS_INVALID));
    cr_assert(eq(int, strncmp(errmsg, "cannot listen on 192.0.2.1:0: ", 30), 0), "%s", errmsg);
}

Test(listen, a_port_in_use_is_one_clear_line)
{
    char errmsg[200] = "";
    char address[40];
    char expected[100];
    int fd = -1;
    int second = -1;
    uint16_t port = 0;
    cr_assert(
        eq(int, address_listen("127.0.0.1:0", 1, &fd, &port, errmsg, sizeof errmsg), STATUS_OK));
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", port);
    cr_assert(
        eq(int, address_listen(address, 1, &second, &port, errmsg, sizeof errmsg), STATUS_EXISTS));
    (void)snprintf(expected, sizeof expected, "%s is in use by another process", address);
    cr_assert(eq(str, errmsg, expected));
    cr_assert(eq(int, close(fd), 0));
}
