import AdminTool
import Dispatch
import Glibc

// SIGINT cancels the command, which says what is left undone; a second one, or a command that does not end within a
// second, ends the process at once.
let work = Task { await Tool.run(Array(CommandLine.arguments.dropFirst())) }
signal(SIGINT, SIG_IGN)
signal(SIGPIPE, SIG_IGN)
let interrupts = DispatchSource.makeSignalSource(signal: SIGINT, queue: .global())
interrupts.setEventHandler {
    if work.isCancelled { _exit(CommandExit.interrupted.rawValue) }
    work.cancel()
    DispatchQueue.global().asyncAfter(deadline: .now() + 1) { _exit(CommandExit.interrupted.rawValue) }
}
interrupts.resume()
let status = await work.value
// A command that came to its end in spite of the signal has done what it was asked to.
exit(work.isCancelled && status != .done ? CommandExit.interrupted.rawValue : status.rawValue)
