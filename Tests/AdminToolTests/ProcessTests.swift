import AdminTool
import Glibc
import ScriptedServer
import Testing

/// Whole processes, so that signals and exits are real.
@Suite struct ProcessTests {
    @Test func anInterruptedCommandEndsWith130() async {
        await #expect(processExitsWith: .exitCode(130)) {
            let server = try await ScriptedServer { _ in .hang }
            Task {
                while server.requests.isEmpty { await Task.yield() }
                kill(getpid(), SIGINT)
            }
            await Tool.main(["get", "a/b", "--endpoint", server.url])
        }
    }

    /// It waits for standard input, which never comes: the read cannot be cancelled.
    @Test func aCommandThatCannotBeCancelledEndsWith130() async {
        await #expect(processExitsWith: .exitCode(130)) {
            var ends: [CInt] = [0, 0]
            pipe(&ends)
            dup2(ends[0], STDIN_FILENO)
            // Again and again, as one that comes before the command listens is lost; never before it is ignored.
            Task {
                while true {
                    try await Task.sleep(for: .milliseconds(20))
                    var action = sigaction()
                    sigaction(SIGINT, nil, &action)
                    if action.__sigaction_handler.sa_handler != nil { kill(getpid(), SIGINT) }
                }
            }
            await Tool.main(["put", "a/b", "-"])
        }
    }

    @Test func aFinishedCommandEndsWithItsStatus() async {
        await #expect(processExitsWith: .exitCode(2)) { await Tool.main(["put", "a/b"]) }
        await #expect(processExitsWith: .exitCode(0)) { await Tool.main(["--help"]) }
    }
}
