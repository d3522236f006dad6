import HashRing
import Primitives
import Testing

@Suite struct RingTests {
    /// The published vectors, computed with another implementation of XXH64 and with wide integers.
    @Test(
        arguments: [
            ("user/42", 0xE89F_2A24_FC2B_B767, 58, 232, 3721),
            ("order/2024-000017", 0x08BB_A8CC_55C5_82C0, 2, 8, 139),
            ("a/b/c", 0xE94F_7000_86CF_8F20, 58, 233, 3732),
            ("k/é", 0xBDBD_C39C_D401_6153, 47, 189, 3035),
            ("sensor/hall-7/temperature/average-of-the-last-minute", 0xE69A_F227_A3D0_2836, 57, 230, 3689),
        ] as [(String, UInt64, UInt32, UInt32, UInt32)])
    func vectors(key: String, hash: UInt64, of64: UInt32, of256: UInt32, of4096: UInt32) {
        #expect(XXH64.hash(Array(key.utf8), seed: 0) == hash)
        #expect(Ring(shardCount: 64).shard(of: hash) == ShardID(of64))
        #expect(Ring(shardCount: 256).shard(of: hash) == ShardID(of256))
        #expect(Ring(shardCount: 4096).shard(of: hash) == ShardID(of4096))
    }

    /// The arcs cover the circle once, in order, and a hash lies in the arc of its shard.
    @Test(arguments: [1, 2, 16, 64, 4096, 65_536])
    func arcsCoverTheCircle(shardCount: Int) {
        let ring = Ring(shardCount: shardCount)
        var next: UInt64 = 0
        for shard in ring.shards {
            let arc = ring.arc(of: shard)
            #expect(arc.lowerBound == next)
            #expect(ring.shard(of: arc.lowerBound) == shard)
            #expect(ring.shard(of: arc.upperBound) == shard)
            next = arc.upperBound &+ 1
        }
        #expect(next == 0, "the last arc ends where the first begins")
    }

    /// Doubling splits arc i into 2i and 2i + 1, whatever the hash.
    @Test func doublingSplitsArcs() {
        var random = SplitMix64(seed: 1)
        for bits in 0..<16 {
            for _ in 0..<200 {
                let hash = random.next()
                let before = Ring(shardCount: 1 << bits).shard(of: hash).rawValue
                let after = Ring(shardCount: 2 << bits).shard(of: hash).rawValue
                #expect(after >> 1 == before)
            }
        }
    }

    @Test func keysSpreadEvenly() {
        let ring = Ring(shardCount: 64)
        var counts = [Int](repeating: 0, count: 64)
        for number in 0..<64_000 {
            let hash = XXH64.hash(Array("user/\(number)".utf8), seed: 7)
            counts[Int(ring.shard(of: hash).rawValue)] += 1
        }
        // Binomial(64,000, 1/64): mean 1000, standard deviation 31; six of them either way.
        #expect(counts.allSatisfy { (810...1190).contains($0) })
    }

    @Test(arguments: [0, -4, 3, 48, 131_072])
    func refusesOtherCounts(count: Int) {
        #expect(!Ring.isShardCount(count))
    }
}
