import LogCore
import LogFormat

/// Runs ``LogRecovery`` over a real directory, on the caller's thread.
enum RecoveryDriver {
    static func run(
        _ recovery: consuming LogRecovery, directory: String, executor: any StepExecutor,
        replay: (LogRecord) throws -> Void
    ) throws(LogOpenError) -> (LogStart, RecoveryReport) {
        while true {
            switch recovery.next() {
            case .read(let name, let offset, let count, let fresh):
                let file = directory + "/" + name.description
                recovery.read(LogDirectory.read(file, offset: offset, count: count, fresh: fresh))
            case .perform(let step):
                recovery.completed(executor.perform(step))
            case .replay(let records):
                if let refusal = refusal(of: records, replay) {
                    recovery.replayRefused(
                        shard: refusal.record.shard, position: refusal.record.position, reason: refusal.reason)
                } else {
                    recovery.replayed()
                }
            case .finished(let start, let report):
                return (start, report)
            case .failed(let error):
                throw error
            }
        }
    }

    private static func refusal(
        of records: [LogRecord], _ replay: (LogRecord) throws -> Void
    ) -> (record: LogRecord, reason: String)? {
        for record in records {
            do { try replay(record) } catch { return (record, String(describing: error)) }
        }
        return nil
    }
}
