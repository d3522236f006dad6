internal import Primitives

/// The assignment as the planner works on it: nodes and zones as small numbers, and who holds what as bits, so that
/// both directions, shard to nodes and node to shards, are at hand. Every change keeps it legal: a node holds a shard
/// once, and a zone holds at most `spread` replicas of one.
struct PlacementTable {
    let shardCount: Int
    let replicationFactor: Int
    let zones: [Int]
    /// Replicas of one shard that may lie in one zone.
    let spread: Int
    /// Replicas of shard s stand at `slots[s × replicationFactor ..< …]`; -1 is a vacancy, after all others.
    private var slots: [Int32]
    /// Replicas of shard s.
    private(set) var filled: [Int]
    private(set) var held: Holdings
    /// Replicas on node n.
    private(set) var counts: [Int]
    private let nodeHashes: [UInt64]

    init(shardCount: Int, replicationFactor: Int, nodes: [NodeID], zones: [Int], spread: Int) {
        self.shardCount = shardCount
        self.replicationFactor = replicationFactor
        self.zones = zones
        self.spread = spread
        slots = Array(repeating: -1, count: shardCount * replicationFactor)
        filled = Array(repeating: 0, count: shardCount)
        held = Holdings(shardCount: shardCount, nodeCount: nodes.count)
        counts = Array(repeating: 0, count: nodes.count)
        nodeHashes = nodes.map { XXH64.hash(Array($0.text.utf8), seed: 0) }
    }

    func replicas(of shard: Int) -> some Sequence<Int> {
        slots[(shard * replicationFactor)..<(shard * replicationFactor + filled[shard])].lazy.map(Int.init)
    }

    func holds(_ node: Int, _ shard: Int) -> Bool { held.contains(node, shard) }

    /// Replicas of the shard in a zone.
    func count(of shard: Int, inZone zone: Int) -> Int {
        var count = 0
        for node in replicas(of: shard) where zones[node] == zone { count += 1 }
        return count
    }

    /// Whether `node` may take a replica of the shard, in the place of the one on `leaving` or of a vacancy.
    func accepts(_ node: Int, _ shard: Int, insteadOf leaving: Int? = nil) -> Bool {
        guard !holds(node, shard), leaving != nil || filled[shard] < replicationFactor else { return false }
        let zone = zones[node]
        let leavesZone = leaving.map { zones[$0] == zone } ?? false
        return count(of: shard, inZone: zone) - (leavesZone ? 1 : 0) < spread
    }

    mutating func add(_ node: Int, to shard: Int) {
        precondition(accepts(node, shard), "a replica is added where it is legal")
        slots[shard * replicationFactor + filled[shard]] = Int32(node)
        filled[shard] += 1
        held.insert(node, shard)
        counts[node] += 1
    }

    mutating func remove(_ node: Int, from shard: Int) {
        precondition(holds(node, shard), "a replica is removed where it is")
        let first = shard * replicationFactor
        for slot in first..<(first + filled[shard]) where slots[slot] == Int32(node) {
            slots.swapAt(slot, first + filled[shard] - 1)
            break
        }
        filled[shard] -= 1
        slots[first + filled[shard]] = -1
        held.remove(node, shard)
        counts[node] -= 1
    }

    mutating func move(_ shard: Int, from: Int, to: Int) {
        remove(from, from: shard)
        add(to, to: shard)
    }

    /// The shards of a node in the order of their ranks on it.
    func shards(of node: Int) -> [Int] {
        held.shards(of: node).map { (rank(of: $0, on: node), $0) }.sorted { $0 < $1 }.map(\.1)
    }

    /// A number that looks random and is the same everywhere: breaks ties between nodes of a shard and shards of a
    /// node, so that plans are reproducible and yet shards that lie together on one node part ways on the others.
    func rank(of shard: Int, on node: Int) -> UInt64 {
        var generator = SplitMix64(seed: nodeHashes[node] ^ (UInt64(shard) &* 0x9E37_79B9_7F4A_7C15))
        return generator.next()
    }
}

/// Which node holds which shard, a bit each.
struct Holdings {
    private var words: [UInt64]
    private let wordsPerNode: Int

    init(shardCount: Int, nodeCount: Int) {
        wordsPerNode = (shardCount + 63) / 64
        words = Array(repeating: 0, count: nodeCount * wordsPerNode)
    }

    func contains(_ node: Int, _ shard: Int) -> Bool {
        words[node * wordsPerNode + shard / 64] & (1 << UInt64(shard % 64)) != 0
    }

    mutating func insert(_ node: Int, _ shard: Int) {
        words[node * wordsPerNode + shard / 64] |= 1 << UInt64(shard % 64)
    }

    mutating func remove(_ node: Int, _ shard: Int) {
        words[node * wordsPerNode + shard / 64] &= ~(1 << UInt64(shard % 64))
    }

    /// Ascending.
    func shards(of node: Int) -> [Int] {
        var shards: [Int] = []
        for word in 0..<wordsPerNode {
            var bits = words[node * wordsPerNode + word]
            while bits != 0 {
                shards.append(word * 64 + bits.trailingZeroBitCount)
                bits &= bits - 1
            }
        }
        return shards
    }
}
