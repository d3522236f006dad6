import Foundation
import Glibc
import Primitives
import Testing

@testable import NodeRuntime

@Suite struct SpaceDecisionTests {
    private static let reserve = Limits.spaceReserveBytes

    private func isFull(
        was: Bool = false, bytes: Int, files: Int? = 1_000_000, unflushed: Int = 0, storesWait: Bool = false
    ) -> Bool {
        SpaceDecision.isFull(
            wasFull: was, free: FreeSpace(bytes: bytes, files: files), unflushedBytes: unflushed,
            storesWait: storesWait)
    }

    @Test func whatMustStillBeFlushedCountsAsTaken() {
        #expect(!isFull(bytes: Self.reserve))
        #expect(isFull(bytes: Self.reserve - 1))
        #expect(isFull(bytes: Self.reserve + 99, unflushed: 100))
        #expect(!isFull(bytes: Self.reserve + 100, unflushed: 100))
    }

    @Test func goingOnTakesMoreThanStopping() {
        #expect(isFull(was: true, bytes: 2 * Self.reserve - 1))
        #expect(!isFull(was: true, bytes: 2 * Self.reserve))
    }

    @Test func filesRunOutToo() {
        let few = Limits.spaceReserveFiles
        #expect(isFull(bytes: .max, files: few - 1))
        #expect(!isFull(bytes: .max, files: few))
        #expect(isFull(was: true, bytes: .max, files: 2 * few - 1))
        #expect(!isFull(bytes: .max, files: nil), "a file system that does not count them")
    }

    /// A quota shows in no figure.
    @Test func aStoreThatWaitsIsBelieved() {
        #expect(isFull(bytes: .max, storesWait: true))
        #expect(!isFull(was: true, bytes: .max, storesWait: false))
    }

    @Test func withoutAFigureNothingChanges() {
        for was in [true, false] {
            #expect(SpaceDecision.isFull(wasFull: was, free: nil, unflushedBytes: 0, storesWait: false) == was)
        }
    }
}

@Suite struct BallastTests {
    @Test func itTakesBlocksAndGivesThemBack() throws {
        let folder = try makeTestFolder("ballast")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let ballast = Ballast(in: folder, shards: 16)
        #expect(!ballast.isWhole)
        ballast.keep()
        #expect(ballast.isWhole)
        let path = folder + "/RESERVE"
        #expect(blocks(path) >= SpaceDecision.ballastBytes(shards: 16))
        ballast.release(on: FreeSpace(bytes: .max, files: nil))
        #expect(ballast.isWhole, "there is space anyway")
        ballast.release(on: FreeSpace(bytes: 0, files: nil))
        #expect(!ballast.isWhole)
        #expect(blocks(path) == 0)
        ballast.keep()
        #expect(blocks(path) >= SpaceDecision.ballastBytes(shards: 16))
    }

    @Test func itTakesFilesAndGivesThemBack() throws {
        let folder = try makeTestFolder("ballast-files")
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let ballast = Ballast(in: folder, shards: 16)
        func files() -> Int {
            (try? FileManager.default.contentsOfDirectory(atPath: folder + "/RESERVE.files").count) ?? 0
        }
        ballast.keep()
        #expect(files() == SpaceDecision.ballastFiles(shards: 16))
        ballast.release(on: FreeSpace(bytes: .max, files: 1_000_000))
        #expect(ballast.isWhole && files() > 0)
        ballast.release(on: FreeSpace(bytes: .max, files: 0))
        #expect(!ballast.isWhole && files() == 0)
        ballast.keep()
        #expect(ballast.isWhole)
    }

    private func blocks(_ path: String) -> Int {
        var facts = stat()
        return stat(path, &facts) == 0 ? Int(facts.st_blocks) * 512 : -1
    }
}
