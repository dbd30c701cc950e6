/*
 * lmdb_updates --data FILE --sessions N --count N --batch N: what a store without a journal does.
 *
 * Makes the updates of `acks write --run 1` in LMDB, each `batch` of them in one durable
 * transaction. With --batch 0 it writes every session once, in one transaction.
 */
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

#include "nfs/updates.h"
#include "support/pattern.h"

enum { MAP_BYTES = 1 << 30 };

struct job {
    const char *data;
    uint32_t sessions;
    uint32_t count;
    uint32_t batch;
};

static void need(int rc)
{
    if (rc != 0) {
        (void)fprintf(stderr, "lmdb_updates: %s\n", mdb_strerror(rc));
        exit(EXIT_FAILURE);
    }
}

static void put(MDB_txn *txn, MDB_dbi dbi, uint32_t session, uint32_t number)
{
    char id[UPDATE_ID_BYTES];
    uint8_t value[UPDATE_VALUE_BYTES];
    struct view key = update_id(session, id);
    pattern_fill(value, sizeof value, session, number);
    need(mdb_put(txn, dbi, &(MDB_val){.mv_size = key.len, .mv_data = id},
                 &(MDB_val){.mv_size = sizeof value, .mv_data = value}, 0));
}

static void run(const struct job *job)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi = 0;
    struct random random = {.state = 1};
    need(mdb_env_create(&env));
    need(mdb_env_set_mapsize(env, MAP_BYTES));
    /* One process, one thread: no lock file on the mount. */
    need(mdb_env_open(env, job->data, MDB_NOSUBDIR | MDB_NOLOCK, 0600));
    uint32_t batch = job->batch == 0 ? job->sessions : job->batch;
    uint32_t count = job->batch == 0 ? job->sessions : job->count;
    for (uint32_t done = 0; done < count;) {
        need(mdb_txn_begin(env, NULL, 0, &txn));
        need(mdb_dbi_open(txn, NULL, 0, &dbi));
        for (uint32_t i = 0; i < batch && done < count; i++, done++) {
            uint32_t session = job->batch == 0 ? done : update_session(&random, job->sessions);
            put(txn, dbi, session, done + 1);
        }
        need(mdb_txn_commit(txn));
    }
    mdb_env_close(env);
}

int main(int argc, char *argv[])
{
    struct job job = {0};
    for (int i = 1; i + 1 < argc; i += 2) {
        uint32_t number = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--data") == 0) {
            job.data = argv[i + 1];
        } else if (strcmp(argv[i], "--sessions") == 0) {
            job.sessions = number;
        } else if (strcmp(argv[i], "--count") == 0) {
            job.count = number;
        } else if (strcmp(argv[i], "--batch") == 0) {
            job.batch = number;
        }
    }
    if (job.data == NULL || job.sessions == 0 || argc % 2 == 0) {
        (void)fprintf(stderr, "usage: lmdb_updates --data FILE --sessions N --count N --batch N\n");
        return 2;
    }
    run(&job);
    return EXIT_SUCCESS;
}
