/* Processes that write a log. */
#include "unit/backup/chain_kit.h"

const uint8_t chain_uuid[SLOT_UUID_BYTES] = {1, 2, 3};
const struct chain_hint no_hint = {0};

void open_writer(struct writer *writer, uint64_t epoch, uint64_t store_lsn)
{
    struct chain_options options = {.epoch = epoch, .store_lsn = store_lsn};
    *writer = (struct writer){.next_lsn = store_lsn + 1};
    memcpy(options.uuid, chain_uuid, sizeof options.uuid);
    options.nonce[0] = (uint8_t)epoch;
    options.nonce[1] = (uint8_t)(epoch >> 8);
    bucket_client_open(&writer->client, 1);
    writer->feed = log_feed_open(&writer->metrics);
    chain_init(&writer->chain, writer->client.s3, &options, &bucket_clock);
}

void close_writer(struct writer *writer)
{
    chain_close(&writer->chain);
    feed_close(writer->feed);
    bucket_client_close(&writer->client);
}

void demand(const struct writer *writer, enum chain_status got, enum chain_status wanted)
{
    cr_assert(eq(int, got, wanted), "%s", writer->chain.errmsg);
}

void take_over(struct writer *writer, uint64_t epoch, uint64_t store_lsn)
{
    open_writer(writer, epoch, store_lsn);
    demand(writer, chain_find(&writer->chain, &no_hint), CHAIN_OK);
    demand(writer, chain_fence(&writer->chain, 1700000000000), CHAIN_OK);
    cr_assert(writer->chain.is_open);
}

void prepare(struct writer *writer)
{
    struct feed_taken taken;
    feed_take(writer->feed, SIZE_MAX, &taken);
    demand(writer, chain_prepare(&writer->chain, &taken), CHAIN_OK);
    feed_return(writer->feed, &taken);
}

enum chain_status write_some(struct writer *writer)
{
    if (!chain_has_pending(&writer->chain)) {
        log_give(writer->feed, writer->next_lsn, 3);
        writer->next_lsn += 3;
        prepare(writer);
    }
    return chain_write(&writer->chain);
}
