/* A rehearsal of recovery, on a store that never gets threads. */
#include "store/rehearsal.h"

#include <stdio.h>
#include <stdlib.h>

#include "store/store_private.h"

static void count_sessions(struct store *store, int64_t now_ms, struct rehearsed *out)
{
    for (unsigned i = 0; i < TABLE_SHARDS; i++) {
        const struct shard *shard = &store->table.shards[i];
        for (uint32_t at = 0; at < shard->slot_count; at++) {
            const struct entry *entry = shard_slot(shard, at)->entry;
            if (entry == NULL || entry->tombstone) {
                continue;
            }
            if (session_is_expired((int64_t)entry->expires_ms, now_ms)) {
                out->expired++;
            } else {
                out->live++;
            }
        }
    }
}

/* With the rows open. A new data file has no meta row, and then no journal may refer to one. */
static enum status rebuild(struct store *store, struct rehearsed *out, char *errmsg,
                           size_t errmsg_bytes)
{
    enum status status = rows_read_meta(store->rows, &store->meta);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND) {
        (void)snprintf(errmsg, errmsg_bytes, "cannot read the data file in %s: %s: %s",
                       store->options.data_dir, status_text(status), rows_error(store->rows));
        return status;
    }
    store->table.seed = store->meta.hash_seed;
    status = store_rebuild(store, &out->last_lsn, &out->replayed, errmsg, errmsg_bytes);
    journal_files_free(&store->old);
    return status;
}

enum status rehearse_recovery(const struct rehearsal *rehearsal, struct rehearsed *out,
                              char *errmsg, size_t errmsg_bytes)
{
    *out = (struct rehearsed){0};
    struct store *store = aligned_alloc(_Alignof(struct store), sizeof *store);
    if (store != NULL) {
        memset(store, 0, sizeof *store);
    }
    if (store == NULL || table_init(&store->table, 0) != STATUS_OK) {
        free(store);
        (void)snprintf(errmsg, errmsg_bytes, "out of memory");
        return STATUS_NO_MEMORY;
    }
    store->options.data_dir = rehearsal->data_dir;
    store->options.memory_bytes = 0; /* values stay in the rows */
    store->deps.clock = &clock_system;
    store->deps.file = rehearsal->file;
    store->journal_dir = (char *)(uintptr_t)rehearsal->journal_dir;
    const struct rows_options rows = {
        .path = rehearsal->data_file, .file = rehearsal->file, .read_only = true};
    enum status status = rows_open(&rows, &store->rows, errmsg, errmsg_bytes);
    if (status == STATUS_OK) {
        status = rebuild(store, out, errmsg, errmsg_bytes);
        rows_close(store->rows);
    }
    if (status == STATUS_OK) {
        count_sessions(store, rehearsal->now_ms, out);
    }
    table_close(&store->table);
    free(store);
    return status;
}
