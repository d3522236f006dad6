import Dispatch
import Glibc

extension Tool {
    /// How long an interrupted command may take to say what it leaves undone.
    private static let interruptionGrace = DispatchTimeInterval.seconds(1)

    /// Runs one command as the whole of this process, and ends the process.
    ///
    /// SIGINT cancels the command. A second one, or a command that does not end within a second (it may be waiting for
    /// standard input), ends the process at once.
    public static func main(_ arguments: [String]) async -> Never {
        // A reader of our output that goes away shows as a failed write.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGINT, SIG_IGN)
        let work = Task { await run(arguments) }
        let interrupts = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
        interrupts.setEventHandler { @Sendable in
            if work.isCancelled { _exit(CommandExit.interrupted.rawValue) }
            work.cancel()
            DispatchQueue.global().asyncAfter(deadline: .now() + interruptionGrace) { @Sendable in
                _exit(CommandExit.interrupted.rawValue)
            }
        }
        interrupts.resume()
        let status = await work.value
        // A command that came to its end in spite of the signal has done what it was asked to.
        exit(work.isCancelled && status != .done ? CommandExit.interrupted.rawValue : status.rawValue)
    }
}
