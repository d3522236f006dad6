#include "CStoreShims.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/file_system.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>

using rocksdb::FSDirectory;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Status;

struct ks_store_watch {
    std::atomic<int> trouble{KS_TROUBLE_NONE};

    void note(int found) {
        int known = trouble.load();
        while (known < found && !trouble.compare_exchange_weak(known, found)) {}
    }
};

namespace {

/// RocksDB gives the errno as its text alone.
int troubleOf(const Status &status) {
    if (status.ok()) return KS_TROUBLE_NONE;
    if (status.IsNoSpace()) return KS_TROUBLE_NO_SPACE;
    const std::string text = status.ToString();
    auto names = [&text](int code) { return text.find(std::strerror(code)) != std::string::npos; };
    if (names(EMFILE) || names(ENFILE)) return KS_TROUBLE_NO_DESCRIPTORS;
    if (names(EDQUOT)) return KS_TROUBLE_NO_SPACE;
    return KS_TROUBLE_FAILED;
}

/// RocksDB writes its log into each store's directory and keeps it open. What matters comes back as a status.
class Silence final : public rocksdb::Logger {
  public:
    Silence() : Logger(rocksdb::InfoLogLevel::FATAL_LEVEL) {}
    using Logger::Logv;
    void Logv(const char *, va_list) override {}
    Status Close() override { return Status::OK(); }
};

/// A directory that is open only while it is synced: RocksDB keeps two descriptors a store for it otherwise.
class BriefDirectory final : public FSDirectory {
  public:
    BriefDirectory(rocksdb::FileSystem *files, std::string name) : files_(files), name_(std::move(name)) {}

    IOStatus Fsync(const IOOptions &options, IODebugContext *debug) override {
        return FsyncWithDirOptions(options, debug, rocksdb::DirFsyncOptions());
    }

    IOStatus FsyncWithDirOptions(
        const IOOptions &options, IODebugContext *debug, const rocksdb::DirFsyncOptions &what) override {
        std::unique_ptr<FSDirectory> directory;
        IOStatus status = files_->NewDirectory(name_, options, &directory, debug);
        if (!status.ok()) return status;
        status = directory->FsyncWithDirOptions(options, debug, what);
        IOStatus closed = directory->Close(options, debug);
        return status.ok() ? closed : status;
    }

    IOStatus Close(const IOOptions &, IODebugContext *) override { return IOStatus::OK(); }

  private:
    rocksdb::FileSystem *files_;
    std::string name_;
};

class Files final : public rocksdb::FileSystemWrapper {
  public:
    Files() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}

    const char *Name() const override { return "keystead"; }

    IOStatus NewDirectory(
        const std::string &name, const IOOptions &options, std::unique_ptr<FSDirectory> *result,
        IODebugContext *debug) override {
        // That it is there is found out now, as it would be.
        IOStatus status = target()->NewDirectory(name, options, result, debug);
        if (status.ok()) result->reset(new BriefDirectory(target(), name));
        return status;
    }
};

/// Errors that pass are made such that `Resume` takes them; RocksDB takes some of them for fatal.
class Watcher final : public rocksdb::EventListener {
  public:
    explicit Watcher(ks_store_watch *watch) : watch_(watch) {}

    void OnBackgroundError(rocksdb::BackgroundErrorReason, Status *error) override {
        const int trouble = troubleOf(*error);
        watch_->note(trouble);
        if (trouble == KS_TROUBLE_FAILED || error->severity() <= Status::Severity::kHardError) return;
        *error = Status(Status::NoSpace(error->ToString()), Status::Severity::kHardError);
    }

    void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, Status, bool *recovers) override { *recovers = false; }

  private:
    ks_store_watch *watch_;
};

/// One for the process, for as long as it runs.
rocksdb::Env *environment() {
    static rocksdb::Env *const shared = rocksdb::NewCompositeEnv(std::make_shared<Files>()).release();
    return shared;
}

std::shared_ptr<rocksdb::Logger> silence() {
    static const std::shared_ptr<rocksdb::Logger> shared = std::make_shared<Silence>();
    return shared;
}

}  // namespace

ks_store_watch *ks_store_watch_create(void) { return new ks_store_watch; }

void ks_store_watch_destroy(ks_store_watch *watch) { delete watch; }

int ks_store_watch_trouble(const ks_store_watch *watch) { return watch->trouble.load(); }

// The structs behind the C interface's opaque types are `{ Options rep; }` and `{ DB *rep; }` in every release of it.

void ks_store_options_prepare(rocksdb_options_t *options, ks_store_watch *watch) {
    auto *rep = reinterpret_cast<rocksdb::Options *>(options);
    rep->info_log = silence();
    rep->env = environment();
    rep->listeners.push_back(std::make_shared<Watcher>(watch));
}

void ks_store_keep_tables(rocksdb_t *store, int count) {
    // RocksDB takes ten descriptors for other things than tables.
    const std::string limit = std::to_string(count + 10);
    // Where that fails, more stay open: an error that nobody need hear of.
    (*reinterpret_cast<rocksdb::DB **>(store))->SetDBOptions({{"max_open_files", limit}}).PermitUncheckedError();
}

void ks_store_resume(rocksdb_t *store, ks_store_watch *watch) {
    // An error that comes meanwhile is not to be lost, and one of before would stay for ever: so it is taken off first.
    const int before = watch->trouble.exchange(KS_TROUBLE_NONE);
    const Status status = (*reinterpret_cast<rocksdb::DB **>(store))->Resume();
    if (!status.ok()) watch->note(status.IsBusy() ? before : troubleOf(status));
}
