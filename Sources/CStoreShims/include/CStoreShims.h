// What RocksDB can do and its C interface cannot say: a store without a log file of its own and with fewer descriptors,
// what kind of error has stopped it, and how it goes on after one that has passed.

#ifndef CSTORESHIMS_H
#define CSTORESHIMS_H

#ifdef __cplusplus
extern "C" {
#endif

/// Of rocksdb/c.h.
typedef struct rocksdb_t rocksdb_t;
typedef struct rocksdb_options_t rocksdb_options_t;

/// What stands between a store and its next flush or compaction.
enum {
    KS_TROUBLE_NONE = 0,
    /// The disk, or a quota on it, was full. ``ks_store_resume`` goes on from there.
    KS_TROUBLE_NO_SPACE = 1,
    /// The process, or the system, had no file descriptor left. ``ks_store_resume`` goes on from there.
    KS_TROUBLE_NO_DESCRIPTORS = 2,
    /// Anything else: the store makes nothing durable any more.
    KS_TROUBLE_FAILED = 3,
};

/// Hears of one store's background errors. It outlives the store that it is given to.
typedef struct ks_store_watch ks_store_watch;

ks_store_watch *ks_store_watch_create(void);
void ks_store_watch_destroy(ks_store_watch *watch);

/// One of the constants above. Any thread.
int ks_store_watch_trouble(const ks_store_watch *watch);

/// Before a store is opened with these options: no log file, no descriptors kept for directories, and background
/// errors told to `watch`. RocksDB's own attempts to recover are off.
void ks_store_options_prepare(rocksdb_options_t *options, ks_store_watch *watch);

/// Keeps so many tables of the store open and no more; fewer than RocksDB's options can say.
void ks_store_keep_tables(rocksdb_t *store, int count);

/// After an error for lack of space or descriptors: writes to disk what the store has in memory, and goes on. Blocks.
/// Where that fails the trouble is as it was, or a worse one.
void ks_store_resume(rocksdb_t *store, ks_store_watch *watch);

#ifdef __cplusplus
}
#endif

#endif
