/* The Accept header: what is wanted, and which format of the metrics follows from that. */
#include "ops/accept.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "ops/prometheus.h"

static const struct media_type plain = {"text", "plain", "0.0.4"};

Test(accept, the_closest_range_decides_how_much_a_type_is_wanted)
{
    static const struct {
        const char *headers;
        enum accept_match match;
        unsigned quality;
    } cases[] = {
        {"", ACCEPT_ANY, 1000},
        {"Host: x\r\n\r\n", ACCEPT_ANY, 1000},
        {"Accept:\r\n", ACCEPT_ANY, 1000},
        {"Accept: , ,\r\n", ACCEPT_ANY, 1000},
        {"Accept: */*\r\n", ACCEPT_ANY, 1000},
        {"Accept: text/*;q=0.25\r\n", ACCEPT_TYPE, 250},
        {"Accept: text/plain\r\n", ACCEPT_NAMED, 1000},
        {"aCCEPT:TEXT/Plain\r\n", ACCEPT_NAMED, 1000},
        {"Accept: text/plain; version=0.0.4\r\n", ACCEPT_VERSIONED, 1000},
        {"Accept: text/plain; version=\"0.0.4\"\r\n", ACCEPT_VERSIONED, 1000},
        {"Accept: text/plain;version=0.0.5\r\n", ACCEPT_NOTHING, 0},
        {"Accept: text/plain;version=0.0.5;q=0.5, text/plain\r\n", ACCEPT_NAMED, 1000},
        {"Accept: text/plain;charset=utf-8;q=0.5\r\n", ACCEPT_NAMED, 500},
        /* The closest one, wherever it stands, and whatever the wider ones say. */
        {"Accept: */*;q=0.9, text/plain;q=0.1, text/*;q=0.5\r\n", ACCEPT_NAMED, 100},
        {"Accept: text/plain;q=0, */*\r\n", ACCEPT_NAMED, 0},
        {"Accept: text/html, application/json\r\n", ACCEPT_NOTHING, 0},
        {"Accept: plain, text, /, text/\r\n", ACCEPT_NOTHING, 0},
        {"Accept: */plain\r\n", ACCEPT_NOTHING, 0},
        /* Several headers are one. */
        {"Accept: text/*;q=0.3\r\nX: y\r\nAccept: text/plain;q=0.7\r\n", ACCEPT_NAMED, 700},
        {"X-Accept: text/plain\r\nAccepted: text/plain\r\nAccept: a/b\r\n", ACCEPT_NOTHING, 0},
        /* A comma or a semicolon within quotes separates nothing. */
        {"Accept: a/b;x=\",text/plain,\", text/*;q=0.5\r\n", ACCEPT_TYPE, 500},
        {"Accept: text/plain;x=\"\\\";q=0\";q=0.5\r\n", ACCEPT_NAMED, 500},
        {"Accept: a/b;x=\"text/plain, never closed\r\n", ACCEPT_NOTHING, 0},
        /* What stands behind q belongs to nobody. */
        {"Accept: text/plain;q=0.5;version=7\r\n", ACCEPT_NAMED, 500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct accepted found = accept_find(view_str(cases[i].headers), &plain);
        cr_assert(eq(int, found.match, cases[i].match), "%s", cases[i].headers);
        cr_assert(eq(uint, found.quality, cases[i].quality), "%s", cases[i].headers);
    }
}

Test(accept, weights_have_three_digits_and_end_at_one)
{
    static const struct {
        const char *weight;
        int quality; /* -1: no weight, and so no range */
    } cases[] = {
        {"0", 0},    {"0.", 0},      {"0.5", 500},    {"0.05", 50},   {"0.999", 999}, {"0.001", 1},
        {"1", 1000}, {"1.", 1000},   {"1.000", 1000}, {" 0.5 ", 500}, {"", -1},       {"1.001", -1},
        {"2", -1},   {"0.1234", -1}, {"-0", -1},      {".5", -1},     {"0.5x", -1},   {"1e0", -1},
        {"00", -1},  {"0.5 5", -1},  {"9.999", -1},   {"q", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf headers = {0};
        cr_assert(eq(int, buf_printf(&headers, "Accept: text/plain;q=%s, a/b\r\n", cases[i].weight),
                     STATUS_OK));
        const struct accepted found = accept_find(buf_view(&headers), &plain);
        cr_assert(eq(int, found.match == ACCEPT_NAMED ? (int)found.quality : -1, cases[i].quality),
                  "%s", cases[i].weight);
        buf_free(&headers);
    }
}

Test(accept, openmetrics_is_for_who_names_it_and_likes_it_best)
{
    static const struct {
        const char *accept;
        bool is_openmetrics;
    } cases[] = {
        /* Prometheus 2.42, 2.55 and 3.1, and what Prometheus 1 sent. */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         true},
        {"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;"
         "version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
         true},
        {"application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
         "application/openmetrics-text;version=0.0.1;q=0.5,"
         "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,"
         "*/*;q=0.2",
         true},
        {"text/plain;version=0.0.4;q=1,*/*;q=0.1", false},
        /* curl, browsers, and people. */
        {"*/*", false},
        {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false},
        {"application/*", false},
        {"application/openmetrics-text", true},
        {"application/openmetrics-text; version=\"1.0.0\"; charset=utf-8", true},
        {"application/openmetrics-text;version=0.0.1", false},
        {"application/openmetrics-text;version=2.0.0", false},
        {"application/openmetrics-text;q=0", false},
        {"application/openmetrics-text;q=nonsense", false},
        {"application/openmetrics-text;q=0.5, text/plain", false},
        {"application/openmetrics-text;q=0.5, text/plain;q=0.5", true},
        {"text/plain, application/openmetrics-text", true},
        {"application/openmetrics-text;q=0.2, */*", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf headers = {0};
        cr_assert(eq(int, buf_printf(&headers, "Accept: %s\r\n", cases[i].accept), STATUS_OK));
        cr_assert(
            eq(int, prometheus_wants_openmetrics(buf_view(&headers)), cases[i].is_openmetrics),
            "%s", cases[i].accept);
        buf_free(&headers);
    }
    cr_assert_not(prometheus_wants_openmetrics(view_of(NULL, 0)));
}
