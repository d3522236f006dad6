#ifndef KEYSTEAD_TEST_SHIMS_H
#define KEYSTEAD_TEST_SHIMS_H

/* What the end-to-end tests need of the kernel and Swift cannot call. Each answers 0, or errno. */

/* Takes the filesystem that holds `fd` away at once, as a power cut does: FS_IOC_SHUTDOWN with the NOLOGFLUSH flag.
 * What was not synced is lost, the journal included. The filesystem answers EIO from then on, until it is mounted anew. */
int ks_test_cut_power(int fd);

#endif
