import LogCore
import LogFormat
import Primitives

/// What the log's threads and its callers hand each other, under the monitor's lock.
struct LogMailbox {
    enum Order {
        case adopt(AppliedMark)
        case release(ShardID)
        case spaceIsTight(Bool)
    }

    // To the writer.
    var queue: LogQueue
    var flushed: [DurableMark] = []
    var orders: [Order] = []
    var isClosing = false
    /// The writer is waiting and must be woken.
    var isWriterWaiting = false

    // Between the writer and the background thread.
    var backgroundStep: LogStep?
    var backgroundResult: StepResult?
    var isStopped = false

    // From the writer.
    var pinningShards: [ShardID] = []
    var statistics = NodeLogStatistics()

    init(configuration: LogConfiguration) {
        self.queue = LogQueue(configuration: configuration)
    }

    /// Something for the writer to take.
    func hasNews(knowingOfClosing: Bool) -> Bool {
        !queue.isEmpty || !flushed.isEmpty || !orders.isEmpty || backgroundResult != nil
            || (isClosing && !knowingOfClosing)
    }

    /// How the machine stands, for those who ask.
    mutating func publish(_ machine: LogMachine) {
        statistics.log = machine.statistics
        statistics.durableLSN = machine.durableLSN
        if pinningShards != machine.pinningShards { pinningShards = machine.pinningShards }
    }

    mutating func stopAccepting() { queue.update(admission: .stopped, releasing: 0) }
}
