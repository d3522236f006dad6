import Entities
import HashRing
import Primitives
import Testing

@testable import NodeRuntime

/// A page of a list as it grows, row by row, without a store.
@Suite struct RangeScanTests {
    private static let seed: UInt64 = 5
    private let ring = Ring(shardCount: 16)

    private struct Row {
        let key: EntityKey
        let value: [UInt8]
    }

    /// Entities in ring order.
    private func rows(_ count: Int, kinds: [String] = ["k"], stateBytes: Int = 10) throws -> [Row] {
        try (0..<count).map { index in
            let text = "\(kinds[index % kinds.count])/\(index)"
            let key = try EntityKey(plain: Array(text.utf8)[...], seed: Self.seed)
            let record = StoredRecord(
                version: Position(UInt64(index + 1)), updatedAt: .zero, expiresAt: nil,
                contentType: Array("text/plain".utf8), state: [UInt8](repeating: 120, count: stateBytes))
            return Row(key: key, value: record.bytes)
        }.sorted { $0.key.ringHash < $1.key.ringHash }
    }

    private func request(
        _ prefix: String = "k/", max: Int = 1000, after: ListCursor? = nil, values: Bool = false
    ) -> ListRequest {
        ListRequest(keyPrefix: Array(prefix.utf8), itemsMax: max, after: after, withValues: values)
    }

    /// Gives the scan its rows as a store would, in turns of so many looks.
    private func run(_ scan: inout RangeScan, _ rows: [Row], looksPerTurn: Int = .max) -> (page: ListPage, turns: Int) {
        var turns = 1
        var looks = 0
        scan.beginTurn(now: .zero, bytesMax: Limits.listBytesMax)
        while let shard = scan.shard(in: ring) {
            let lower = scan.lowerBound
            for row in rows where ring.shard(of: row.key.ringHash) == shard {
                let name = StoreRows.entity(row.key)
                guard !name.lexicographicallyPrecedes(lower) else { continue }
                let goesOn = name.withUnsafeBytes { name in
                    row.value.withUnsafeBytes { value in
                        guard scan.take(key: name, value: value) else { return false }
                        guard scan.isDueForALook else { return true }
                        scan.looked()
                        looks += 1
                        guard looks >= looksPerTurn else { return true }
                        scan.pause(behind: name)
                        return false
                    }
                }
                if !goesOn { break }
            }
            if scan.isFull { break }
            if scan.isPaused {
                turns += 1
                looks = 0
                scan.beginTurn(now: .zero, bytesMax: Limits.listBytesMax)
            } else {
                scan.finish(shard, of: ring)
            }
        }
        return (scan.page(of: ring), turns)
    }

    private func scan(_ request: ListRequest, keepsStates: Bool = false) -> RangeScan {
        RangeScan(request, over: 0...15, keepsStates: keepsStates)
    }

    @Test func turnsLoseAndRepeatNothing() throws {
        let rows = try rows(2997, kinds: ["k", "other", "more"])
        var whole = scan(request())
        var inTurns = scan(request())
        let expected = run(&whole, rows)
        let found = run(&inTurns, rows, looksPerTurn: 1)
        #expect(expected.turns == 1 && found.turns > 8)
        #expect(expected.page.items.count == 999 && expected.page.next == nil)
        #expect(found.page.items.map(\.keyBytes) == expected.page.items.map(\.keyBytes))
        #expect(found.page.next == nil)
    }

    @Test func aFullPageGoesOnBehindItsLastItem() throws {
        let rows = try rows(50)
        var found: [[UInt8]] = []
        var cursor: ListCursor?
        repeat {
            var scan = scan(request(max: 7, after: cursor))
            let page = run(&scan, rows).page
            found += page.items.map(\.keyBytes)
            cursor = page.next
        } while cursor != nil
        #expect(found == rows.map(\.key.bytes))
    }

    /// A scan that pauses tells where it has come to, though it has found nothing.
    @Test func aPausedScanHasACursor() throws {
        let rows = try rows(2000)
        var scan = scan(request("rare/"))
        scan.beginTurn(now: .zero, bytesMax: Limits.listBytesMax)
        let row = rows[1000]
        StoreRows.entity(row.key).withUnsafeBytes { scan.pause(behind: $0) }
        let page = scan.page(of: ring)
        #expect(page.next == ListCursor(ringHash: row.key.ringHash, keyBytes: row.key.bytes) && page.items.isEmpty)
    }

    /// What is not shown is not copied: neither rows of other kinds, nor states where only their sizes are listed.
    @Test func onlyWhatIsListedIsCopied() throws {
        let rows = try rows(300, kinds: ["k", "other"], stateBytes: 100_000)
        var sizes = scan(request())
        let listed = run(&sizes, rows).page
        #expect(listed.items.count == 150 && listed.next == nil, "states do not fill a page that does not show them")
        #expect(listed.items.allSatisfy { $0.stateByteCount == 100_000 && $0.record.state.isEmpty })
        #expect(listed.items.allSatisfy { Array($0.record.contentType) == Array("text/plain".utf8) })
        var states = scan(request(values: true), keepsStates: true)
        let shown = run(&states, rows).page
        #expect(shown.next != nil && shown.items.allSatisfy { $0.record.state.count == 100_000 })
        let bytes = shown.items.reduce(0) { $0 + $1.byteCount }
        #expect(bytes >= Limits.listBytesMax && bytes < Limits.listBytesMax + 200_000)
    }

    @Test func damagedAndShortRowsAreLeftOut() throws {
        let rows = try rows(1)
        var scan = scan(request())
        scan.beginTurn(now: .zero, bytesMax: Limits.listBytesMax)
        let damaged: [[UInt8]] = [[], [9], Array(rows[0].value.prefix(18)), [9] + Array(rows[0].value.dropFirst())]
        for bytes in damaged {
            let goesOn = StoreRows.entity(rows[0].key).withUnsafeBytes { name in
                bytes.withUnsafeBytes { scan.take(key: name, value: $0) }
            }
            #expect(goesOn)
        }
        #expect(scan.page(of: ring).items.isEmpty)
    }

    /// A cursor behind the shards that were asked for finds nothing there.
    @Test func aCursorBehindTheShardsEndsTheScan() throws {
        let after = ListCursor(ringHash: .max, keyBytes: [])
        let scan = RangeScan(request(after: after), over: 0...3, keepsStates: false)
        #expect(scan.shard(in: ring) == nil)
    }
}
