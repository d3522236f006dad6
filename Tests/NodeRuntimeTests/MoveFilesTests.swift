import Foundation
import Primitives
import ShardCore
import Testing

@testable import NodeRuntime

/// Files of moves, on a real disk.
@Suite struct MoveFilesTests {
    private let folder: String

    init() throws { folder = try makeTestFolder("moves") }

    private func put(_ text: String, _ name: String, in directory: String) throws {
        try MoveFiles.makeDirectory(directory)
        try MoveFiles.write(Array(text.utf8), to: name, in: directory, offset: 0)
    }

    private func text(_ path: String) -> String? { try? String(contentsOfFile: path, encoding: .utf8) }

    @Test func aManifestNamesEveryFileWithItsSum() throws {
        try put("123456789", "b.sst", in: folder + "/c")
        try put("", "a", in: folder + "/c")
        let manifest = try MoveFiles.manifest(of: folder + "/c")
        // The check value of CRC32C.
        #expect(
            manifest == [
                MoveFile(name: "a", byteCount: 0, crc: 0),
                MoveFile(name: "b.sst", byteCount: 9, crc: 0xE306_9283),
            ])
    }

    @Test func chunksPutTogetherAreTheFile() throws {
        try put("hello, world", "f", in: folder + "/c")
        let later = try MoveFiles.chunk(folder + "/c", "f", offset: 7, length: 100)
        #expect(later == Array("world".utf8))
        try MoveFiles.makeDirectory(folder + "/d")
        try MoveFiles.write(later, to: "f", in: folder + "/d", offset: 7)
        try MoveFiles.write(
            try MoveFiles.chunk(folder + "/c", "f", offset: 0, length: 7), to: "f", in: folder + "/d", offset: 0)
        try MoveFiles.finish("f", in: folder + "/d", bytes: 12)
        #expect(text(folder + "/d/f") == "hello, world")
    }

    /// What RocksDB may write to must not be shared with the files that another round starts from.
    @Test func aStoreSharesTablesAndNothingElse() throws {
        try put("table", "1.sst", in: folder + "/in")
        try put("manifest", "MANIFEST-1", in: folder + "/in")
        try put("old", "leftover", in: folder + "/store")
        try MoveFiles.install(try MoveFiles.manifest(of: folder + "/in"), from: folder + "/in", to: folder + "/store")
        #expect(MoveFiles.entries(of: folder + "/store") == ["1.sst", "MANIFEST-1"])
        try MoveFiles.write(Array("MANIFEST".utf8), to: "MANIFEST-1", in: folder + "/store", offset: 0)
        #expect(text(folder + "/in/MANIFEST-1") == "manifest")
        let links = try FileManager.default.attributesOfItem(atPath: folder + "/store/1.sst")[.referenceCount] as? Int
        #expect(links == 2)
    }

    @Test func removingWhatIsNotThereIsNoError() throws {
        try MoveFiles.remove(folder + "/nothing")
        try put("x", "f", in: folder + "/deep")
        try MoveFiles.remove(folder + "/deep")
        #expect(!MoveFiles.exists(folder + "/deep"))
    }

    @Test func aMissingFileIsNamed() throws {
        #expect(throws: MoveFileError.self) { try MoveFiles.chunk(folder, "none", offset: 0, length: 1) }
    }
}
