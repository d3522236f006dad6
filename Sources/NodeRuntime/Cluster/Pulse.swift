/// Wakes one task, at once when something has happened and otherwise from time to time. Wake-ups do not queue: one
/// stands for all that came before it.
struct Pulse: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Any thread.
    func beat() { continuation.yield() }

    /// Runs `body` at once and after each beat, and at least every `nanoseconds`, until the task is cancelled.
    func drive(every nanoseconds: UInt64, _ body: () async -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                while !Task.isCancelled {
                    try? await Task.sleep(nanoseconds: nanoseconds)
                    beat()
                }
            }
            await body()
            for await _ in stream where !Task.isCancelled { await body() }
            group.cancelAll()
        }
    }
}
