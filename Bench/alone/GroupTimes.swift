import Glibc
import Histogram
import Primitives

/// How long groups took, one after the other on one thread.
struct GroupTimes {
    private var histogram = Histogram<UInt64>(highestTrackableValue: Self.nanosecondsMax)
    private var elapsed: UInt64 = 0
    private var operations = 0

    private static let nanosecondsMax: UInt64 = 60_000_000_000
    private static let percentiles = [
        0, 10, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 99.999, 100,
    ]

    /// Runs `group`, which does `size` operations, again and again for `seconds`.
    static func measure(size: Int, seconds: Double, _ group: () throws -> Void) rethrows -> GroupTimes {
        var times = GroupTimes()
        let start = now()
        let end = start + UInt64(seconds * 1e9)
        var began = start
        while began < end {
            try group()
            let done = now()
            times.histogram.record(min(done - began, nanosecondsMax))
            times.operations += size
            began = done
        }
        times.elapsed = began - start
        return times
    }

    /// Latencies in microseconds: of a group, which is what each operation in it waits for.
    func json(_ name: String) -> String {
        let seconds = Double(elapsed) / 1e9
        let at = { (percentile: Double) in Double(histogram.valueAtPercentile(percentile)) / 1000 }
        let curve = Self.percentiles.map { "[\($0),\(at($0))]" }.joined(separator: ",")
        let latency =
            "{\"operation\":\"all\",\"count\":\(operations),\"mean\":\(histogram.mean / 1000),\"p50\":\(at(50)),"
            + "\"p90\":\(at(90)),\"p99\":\(at(99)),\"p99.9\":\(at(99.9)),\"max\":\(at(100)),\"curve\":[\(curve)]}"
        return "{\"name\":\"\(name)\",\"operations\":\(operations),\"elapsed-seconds\":\(seconds),"
            + "\"operations-per-second\":\(Double(operations) / seconds),\"errors\":0,\"errors-by-kind\":[],"
            + "\"sound\":true,\"generator-bound\":false,\"latency\":[\(latency)]}"
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}

/// Values of random bytes, which do not compress, and the names of keys.
struct Draw {
    private var generator: SplitMix64
    private let values: [[UInt8]]
    private let records: Int

    /// So many values in turn that caching one of them is no help.
    private static let valueCount = 64

    init(_ options: AloneOptions) {
        var generator = SplitMix64(seed: options.seed)
        values = (0..<Self.valueCount).map { _ in
            (0..<options.valueBytes).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
        }
        records = options.records
        self.generator = generator
    }

    mutating func value() -> [UInt8] { values[generator.below(values.count)] }

    mutating func number() -> Int { generator.below(records) }

    static func key(_ number: Int) -> [UInt8] { Array("bench/\(number)".utf8) }
}

/// A directory of this process's own below another, gone when the value is.
struct ScratchDirectory: ~Copyable {
    let path: String

    init(below parent: String, named name: String) throws(ScratchError) {
        path = "\(parent)/\(name).\(getpid())"
        guard mkdir(path, 0o700) == 0 else { throw ScratchError(path: path, code: errno) }
    }

    deinit { Self.remove(path) }

    /// With all below it. What cannot be removed is left.
    private static func remove(_ path: String) {
        if let listing = opendir(path) {
            while let entry = readdir(listing) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: Self.nameBytesMax) { String(cString: $0) }
                }
                if name != ".", name != ".." { remove("\(path)/\(name)") }
            }
            closedir(listing)
        }
        _ = Glibc.remove(path)
    }

    private static let nameBytesMax = 256
}

struct ScratchError: Error, CustomStringConvertible {
    let path: String
    let code: Int32
    var description: String { "cannot make \(path): errno \(code)" }
}
