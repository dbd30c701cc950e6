/* OBJECT and MEMORY. */
#include "redis/object.h"

#include <criterion/criterion.h>

#include "kit.h"
#include "redis/strings.h"

static const struct redis_command commands[] = {REDIS_OBJECT_COMMANDS(
    KIT_COMMAND) REDIS_MEMORY_COMMANDS(KIT_COMMAND) REDIS_STRING_COMMANDS(KIT_COMMAND)};

Test(object, strings_and_hashes_are_encoded_as_redis_would)
{
    static const struct kit_case cases[] = {
        {"OBJECT ENCODING none", "$-1\r\n"},
        {"OBJECT encoding h", "$8\r\nlistpack\r\n"},
        {"SET k 12345", "+OK\r\n"},
        {"OBJECT ENCODING k", "$3\r\nint\r\n"},
        {"SET k -9223372036854775808", "+OK\r\n"},
        {"OBJECT ENCODING k", "$3\r\nint\r\n"},
        {"SET k 9223372036854775808", "+OK\r\n"},
        {"OBJECT ENCODING k", "$6\r\nembstr\r\n"},
        {"SET k 01", "+OK\r\n"},
        {"OBJECT ENCODING k", "$6\r\nembstr\r\n"},
        {"SET k \"\"", "+OK\r\n"},
        {"OBJECT ENCODING k", "$6\r\nembstr\r\n"},
        {"SET k 01234567890123456789012345678901234567890123", "+OK\r\n"},
        {"OBJECT ENCODING k", "$6\r\nembstr\r\n"},
        {"SET k 012345678901234567890123456789012345678901234", "+OK\r\n"},
        {"OBJECT ENCODING k", "$3\r\nraw\r\n"},
    };
    KIT_EXPECT(2, commands, cases);
}

Test(object, the_rest_is_told_as_redis_does)
{
    static const struct kit_case cases[] = {
        {"OBJECT HELP",
         "*15\r\n+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n+ENCODING "
         "<key>\r\n+    Return the kind of internal representation used in order to store the "
         "value\r\n+    associated with a <key>.\r\n+FREQ <key>\r\n+    Return the access "
         "frequency index of the <key>. The returned integer is\r\n+    proportional to the "
         "logarithm of the recent access frequency of the key.\r\n+IDLETIME <key>\r\n+    Return "
         "the idle time of the <key>, that is the approximated number of\r\n+    seconds elapsed "
         "since the last access to the key.\r\n+REFCOUNT <key>\r\n+    Return the number of "
         "references of the value associated with the specified\r\n+    <key>.\r\n+HELP\r\n+    "
         "Prints this help.\r\n"},
        {"OBJECT REFCOUNT none", "_\r\n"},
        {"OBJECT REFCOUNT h", ":1\r\n"},
        {"SET k v", "+OK\r\n"},
        {"OBJECT REFCOUNT k", ":1\r\n"},
        {"SET k 0", "+OK\r\n"},
        {"OBJECT REFCOUNT k", ":2147483647\r\n"},
        {"SET k 9999", "+OK\r\n"},
        {"OBJECT REFCOUNT k", ":2147483647\r\n"},
        {"SET k 10000", "+OK\r\n"},
        {"OBJECT REFCOUNT k", ":1\r\n"},
        {"SET k -1", "+OK\r\n"},
        {"OBJECT REFCOUNT k", ":1\r\n"},
        {"OBJECT IDLETIME k", ":0\r\n"},
        {"OBJECT IDLETIME none", "_\r\n"},
        {"OBJECT FREQ k", "-ERR An LFU maxmemory policy is not selected, access frequency not "
                          "tracked. Please note that when switching between policies at runtime "
                          "LRU and LFU data will take some time to adjust.\r\n"},
        {"OBJECT FREQ none", "_\r\n"},
        {"MEMORY USAGE none", "_\r\n"},
        {"MEMORY USAGE none SAMPLES 5 SAMPLES 0", "_\r\n"},
        {"MEMORY USAGE none SAMPLES -1", "-ERR syntax error\r\n"},
        {"MEMORY USAGE none SAMPLES x", "-ERR value is not an integer or out of range\r\n"},
        {"MEMORY USAGE none SAMPLES", "-ERR syntax error\r\n"},
        {"MEMORY USAGE k FOO 1", "-ERR syntax error\r\n"},
        {"MEMORY USAGE k SAMPLES 1 FOO", "-ERR syntax error\r\n"},
    };
    KIT_EXPECT(3, commands, cases);
}

Test(object, the_encoding_follows_the_contents)
{
    static const char text[] = "12345678901234567890123456789012345678901234567890123456789012345";
    static const struct {
        enum satchel_kind kind;
        const char *name;
        const char *value;
        const char *reply;
    } cases[] = {
        {SATCHEL_FIELDS, text + 1, text + 1, "$8\r\nlistpack\r\n"},
        {SATCHEL_FIELDS, text, "", "$9\r\nhashtable\r\n"},
        {SATCHEL_FIELDS, "f", text, "$9\r\nhashtable\r\n"},
        {SATCHEL_NAMES, "12", "", "$6\r\nintset\r\n"},
        {SATCHEL_NAMES, "a", "", "$9\r\nhashtable\r\n"},
    };
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        kit_store_field(&kit, "x", cases[i].kind, cases[i].name, cases[i].value);
        kit_expect(&kit, "OBJECT ENCODING x", cases[i].reply);
    }
    kit_close(&kit);
}

Test(object, a_session_takes_its_header_its_id_and_its_content)
{
    struct kit kit;
    kit_open(&kit, commands, sizeof commands / sizeof commands[0]);
    kit_expect(&kit, "SET key value", "+OK\r\n");
    kit_expect(&kit, "MEMORY USAGE key", ":44\r\n");
    kit_expect(&kit, "MEMORY USAGE key SAMPLES 0", ":44\r\n");
    kit_close(&kit);
}
