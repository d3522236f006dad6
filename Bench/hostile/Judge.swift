import LoadGenerator

/// What has to hold, and whether it did.
struct Judge {
    private var lines: [(text: String, holds: Bool)] = []
    private let memoryMebibytes: Int

    /// The caller's p99 beside the swarm may be so many times what it is alone.
    private static let slowdownMax = 3.0
    /// What an allocator and a start's own caches make of noise.
    private static let noiseMebibytes = 24
    private static let socketNoise = 16
    private static let threadNoise = 8

    init(memoryMebibytes: Int) { self.memoryMebibytes = memoryMebibytes }

    var holds: Bool { lines.allSatisfy(\.holds) }

    var report: String {
        lines.map { ($0.holds ? "holds   " : "BROKEN  ") + $0.text }.joined(separator: "\n")
    }

    mutating func expect(_ text: String, _ holds: Bool) { lines.append((text, holds)) }

    mutating func compare(alone: LoadReport, beside: LoadReport, judgesCaller: Bool) {
        expect("every answer to the caller is right", beside.isSound)
        expect("the caller is served", beside.operations > 0)
        let ratio = beside.latency.p99 / max(1, alone.latency.p99)
        let text =
            "p99 \(Int(alone.latency.p99)) us alone, \(Int(beside.latency.p99)) us beside the swarm: "
            + "\((ratio * 100).rounded() / 100) times"
        guard judgesCaller else { return say(text) }
        expect("the caller has no error (\(beside.errorCount) of \(beside.operations))", beside.errorCount == 0)
        expect(text + ", at most \(Self.slowdownMax)", ratio <= Self.slowdownMax)
    }

    /// The second quarter of the swarm's time against the last one tells growth from use.
    mutating func compare(_ samples: [Vitals], before: Vitals, after: Vitals) {
        guard samples.count >= 8 else { return expect("the node was looked at often enough", false) }
        let bound = memoryMebibytes * 5 / 4 + 64
        let most = samples.map(\.residentMebibytes).max() ?? 0
        expect("resident at most \(most) MiB, the bound is \(bound)", most < bound)
        let quarter = samples.count / 4
        let early = samples[quarter..<(2 * quarter)], late = samples[(3 * quarter)...]
        func highest(_ part: ArraySlice<Vitals>, _ value: KeyPath<Vitals, Int>) -> Int {
            part.map { $0[keyPath: value] }.max() ?? 0
        }
        for (name, value, noise) in [
            ("MiB resident", \Vitals.residentMebibytes, Self.noiseMebibytes),
            ("sockets", \Vitals.sockets, 4 * Self.socketNoise),
            ("threads", \Vitals.threads, Self.threadNoise),
        ] {
            let first = highest(early, value), last = highest(late, value)
            expect("\(name) stay flat: at most \(first) early, \(last) late", last <= first + noise)
        }
        expect(
            "MiB resident 5 s after the swarm: \(after.residentMebibytes), before it \(before.residentMebibytes)",
            after.residentMebibytes <= max(before.residentMebibytes, memoryMebibytes) + Self.noiseMebibytes)
        expect(
            "sockets after the swarm: \(after.sockets), before it \(before.sockets)",
            after.sockets <= before.sockets + Self.socketNoise)
        expect(
            "threads after the swarm: \(after.threads), before it \(before.threads)",
            after.threads <= before.threads + Self.threadNoise)
    }
}
