import ArgumentParser
import CPosixShims
import Glibc
import Histogram

/// The disk's own limit: overwrites a file that was written once, `pwrite` and `fdatasync` in turn, one size after the
/// other, and prints how long both took together.
@main
struct RawFdatasync: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "raw-fdatasync", abstract: "Measures pwrite and fdatasync of groups into a pre-written file.")

    @Argument(help: "The directory for the file, which is removed afterwards.")
    var directory: String

    @Option(help: "Bytes of a group, in turn; multiples of 512.")
    var groupBytes = [4096, 16384, 65536, 262_144]

    @Option(help: "Seconds for each size.")
    var seconds = 2.0

    @Option(help: "Bytes of the file.")
    var fileBytes = 64 << 20

    @Flag(help: "One JSON object a line instead of a table; microseconds.")
    var json = false

    func validate() throws {
        guard (0.1...600).contains(seconds) else { throw ValidationError("--seconds is 0.1 to 600") }
        guard groupBytes.allSatisfy({ $0 > 0 && $0 % 512 == 0 && $0 <= fileBytes }) else {
            throw ValidationError("--group-bytes are multiples of 512, at most the file")
        }
        guard (1 << 20)...(4 << 30) ~= fileBytes else { throw ValidationError("--file-bytes is 1 MiB to 4 GiB") }
    }

    func run() throws {
        let path = directory + "/raw-fdatasync.\(getpid())"
        let file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw ValidationError("cannot create \(path): errno \(errno)") }
        defer {
            close(file)
            unlink(path)
        }
        try prepare(file)
        if !json { print("group bytes   groups/s      p50      p90      p99    p99.9      max  (µs)") }
        for size in groupBytes { report(size: size, try measure(file, size: size)) }
    }

    /// Writes the whole file once, so that what is measured allocates no block.
    private func prepare(_ file: Int32) throws {
        let piece = [UInt8](repeating: 0, count: 1 << 20)
        var offset = 0
        while offset < fileBytes {
            let count = min(piece.count, fileBytes - offset)
            try write(file, piece, count: count, at: offset)
            offset += count
        }
        try sync(file)
    }

    private func measure(_ file: Int32, size: Int) throws -> (histogram: Histogram<UInt64>, elapsed: UInt64) {
        var histogram = Histogram<UInt64>(highestTrackableValue: 60_000_000_000)
        var group = [UInt8](repeating: 0xA5, count: size)
        let start = Self.now()
        let end = start + UInt64(seconds * 1e9)
        var offset = 0
        var began = start
        while began < end {
            group[0] &+= 1
            try write(file, group, count: size, at: offset)
            try sync(file)
            let done = Self.now()
            histogram.record(min(done - began, 60_000_000_000))
            began = done
            offset = offset + 2 * size <= fileBytes ? offset + size : 0
        }
        return (histogram, began - start)
    }

    private func write(_ file: Int32, _ bytes: [UInt8], count: Int, at offset: Int) throws {
        let written = bytes.withUnsafeBytes { ks_pwrite(file, $0.baseAddress, count, Int64(offset)) }
        guard written == Int64(count) else { throw ValidationError("pwrite answered \(written)") }
    }

    private func sync(_ file: Int32) throws {
        let result = ks_fdatasync(file)
        guard result == 0 else { throw ValidationError("fdatasync failed: errno \(-result)") }
    }

    private func report(size: Int, _ measured: (histogram: Histogram<UInt64>, elapsed: UInt64)) {
        let histogram = measured.histogram
        let rate = Double(histogram.totalCount) / Double(measured.elapsed) * 1e9
        let times = [50, 90, 99, 99.9].map { histogram.valueAtPercentile($0) / 1000 } + [histogram.max / 1000]
        if json {
            let names = ["p50", "p90", "p99", "p99.9", "max"]
            let members = zip(names, times).map { "\"\($0)\":\($1)" }.joined(separator: ",")
            print("{\"group-bytes\":\(size),\"groups-per-second\":\(rate.rounded()),\(members)}")
        } else {
            let cells = [size, Int(rate)] + times.map(Int.init)
            let widths = [11, 10, 8, 8, 8, 8, 8]
            print(
                zip(cells, widths).map { cell, width in
                    let text = "\(cell)"
                    return String(repeating: " ", count: max(0, width - text.utf8.count)) + text
                }.joined(separator: " "))
        }
    }

    private static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
