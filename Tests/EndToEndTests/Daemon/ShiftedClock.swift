import Foundation
import Synchronization

/// The clocks of a program under test, moved by a library that is loaded before it. They can be moved while it runs.
final class ShiftedClock: Sendable {
    private let path: String
    private let shifts = Mutex<(wall: Int64, boot: Int64)>((0, 0))

    init(in folder: String) throws {
        path = "\(folder)/clock"
        guard FileManager.default.createFile(atPath: path, contents: Data(count: 16)) else {
            throw HarnessError("cannot write \(path)")
        }
        guard FileManager.default.fileExists(atPath: Self.library) else {
            throw HarnessError("\(Self.library) is not there; `swift build --build-tests` makes it")
        }
    }

    private static var library: String { "\(Programs.directory)/libTestClock.so" }

    /// For the program whose clocks these are.
    var environment: [String: String] { ["LD_PRELOAD": Self.library, "TEST_CLOCK_FILE": path] }

    /// Seconds that the program's wall clock is ahead.
    func setWall(ahead seconds: Int64) throws { try set { $0.wall = seconds } }

    /// Seconds by which the program believes the machine to have slept.
    func sleep(_ seconds: Int64) throws {
        try set {
            $0.wall += seconds
            $0.boot += seconds
        }
    }

    private func set(_ change: (inout (wall: Int64, boot: Int64)) -> Void) throws {
        let bytes = shifts.withLock { shifts in
            change(&shifts)
            return [shifts.wall.littleEndian, shifts.boot.littleEndian].withUnsafeBytes { Data($0) }
        }
        // In place: the program has the file mapped.
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        defer { try? file.close() }
        try file.write(contentsOf: bytes)
    }

    static let day: Int64 = 86_400
}
