import Foundation
import Primitives
import Testing

/// The inputs of `Corpus`, those that once failed among them, go through their targets again, and through small changes
/// of themselves: whatever the bytes are, nothing traps.
@Suite struct ReplayTests {
    typealias Target = @Sendable (UnsafePointer<UInt8>, Int) -> CInt

    static let targets: [(name: String, run: Target)] = [
        ("BatchLines", fuzzBatchLines), ("ClusterRecords", fuzzClusterRecords), ("JSONText", fuzzJSON),
        ("KeyCodec", fuzzKeys), ("LogSegment", fuzzSegments), ("PatchDocument", fuzzPatches),
        ("PeerMessages", fuzzPeerMessages), ("RequestDecoding", fuzzRequests),
    ]

    static func corpus(_ name: String) throws -> [[UInt8]] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpus/\(name)")
        return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
            .sorted { $0.path < $1.path }.map { [UInt8](try Data(contentsOf: $0)) }
    }

    private static func run(_ target: Target, _ input: [UInt8]) {
        // A copy that ends where the input ends.
        input.withUnsafeBufferPointer { buffer in
            if let start = buffer.baseAddress { _ = target(start, buffer.count) }
        }
    }

    @Test(arguments: targets.map(\.name)) func theCorpusPasses(name: String) throws {
        let target = try #require(Self.targets.first { $0.name == name }).run
        let inputs = try Self.corpus(name)
        #expect(inputs.count >= 3)
        for input in inputs { Self.run(target, input) }
    }

    /// Bytes set to what numbers end at, lengths cut, and pieces doubled.
    @Test(arguments: targets.map(\.name)) func changedInputsPass(name: String) throws {
        let target = try #require(Self.targets.first { $0.name == name }).run
        var random = SplitMix64(seed: XXH64.hash(Array(name.utf8), seed: 1))
        for input in try Self.corpus(name) where !input.isEmpty {
            for _ in 0..<60 {
                var changed = input
                for _ in 0...random.below(4) { Self.change(&changed, &random) }
                Self.run(target, changed)
            }
        }
    }

    private static func change(_ input: inout [UInt8], _ random: inout SplitMix64) {
        guard !input.isEmpty else { return }
        let place = random.below(input.count)
        switch random.below(6) {
        case 0: input[place] = [0, 1, 0x7F, 0x80, 0xFF, 64][random.below(6)]
        case 1: input[place] ^= 1 << UInt8(random.below(8))
        case 2: for index in place..<min(place + 8, input.count) { input[index] = 0xFF }
        case 3: for index in place..<min(place + 8, input.count) { input[index] = 0 }
        case 4: input.removeSubrange(place...)
        default: input.insert(contentsOf: input[place..<min(place + 16, input.count)], at: place)
        }
    }
}
